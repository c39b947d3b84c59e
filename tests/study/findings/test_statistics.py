"""Intervals, means over pairs and random subspaces."""

import numpy as np
import pytest
import torch

from pullback_core.linalg import subspaces
from pullback_core.study.findings import statistics
from pullback_core.study.findings.statistics import bootstrap, pair_mean


def test_an_interval_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        values = generator.normal(1.0, 2.0, 30)
        _, low, high = bootstrap(30, lambda indices, values=values: values[indices].mean(), seed)
        hits += low <= 1.0 <= high
    assert 175 <= hits <= 199


def test_resamples_without_a_value_do_not_count():
    number = bootstrap(3, lambda indices: np.nan if len(set(indices)) == 1 else 2.0)
    assert tuple(number) == (2.0, 2.0, 2.0)


def test_a_sample_that_is_drawn_twice_is_no_pair():
    distances = np.array([[0.0, 1.0, 2.0], [1.0, 0.0, 4.0], [2.0, 4.0, 0.0]])
    assert pair_mean(distances, np.array([0, 1, 2])) == pytest.approx(7 / 3)
    assert pair_mean(distances, np.array([0, 0, 1])) == 1.0
    assert np.isnan(pair_mean(distances, np.array([1, 1, 1])))


def test_pairs_are_in_the_order_of_the_upper_triangle():
    matrix = np.arange(9).reshape(3, 3)
    assert statistics.upper_triangle(matrix).tolist() == [1, 2, 5]
    assert statistics.upper_triangle(np.stack([matrix, -matrix])).tolist() == [[1, 2, 5], [-1, -2, -5]]
    assert statistics.pairs("abc") == [("a", "b"), ("a", "c"), ("b", "c")]


def test_random_subspaces_of_a_large_space_are_nearly_orthogonal():
    farthest = np.pi / 2 * 2**0.5
    assert 0.9 * farthest < statistics.chance_distance(2, 1000) < farthest
    rows = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64))[0]
    assert statistics.chance_distance(5, 5) == pytest.approx(
        subspaces.geodesic_distance(rows, rows), abs=1e-6
    )
