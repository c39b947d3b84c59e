"""Means over faces and their intervals, on values whose answers are known."""

import numpy as np
import pytest

from pullback_core.evaluate import statistics


def test_the_interval_of_a_mean_is_about_two_standard_errors():
    values = np.random.default_rng(0).normal(3, 1, 100)
    value, low, high = statistics.mean(values)
    assert value == pytest.approx(values.mean())
    assert high - low == pytest.approx(4 * values.std() / 10, rel=0.15)


def test_faces_without_a_value_do_not_count():
    assert statistics.mean([1.0, np.nan, 3.0])[0] == 2
    assert np.isnan(statistics.mean([np.nan, np.nan])).all()


def test_a_ratio_resamples_both_sides_together():
    one = np.array([1.0, 2.0, 3.0, 10.0])
    assert statistics.ratio(2 * one, one) == pytest.approx([2, 2, 2])


def test_lists_of_faces_stay_together():
    assert statistics.mean_of_lists([[1.0], [2.0, 3.0, 6.0]])[0] == 3
    assert statistics.ratio_of_lists([[2.0], [4.0, 6.0]], [[1.0], [2.0, 3.0]]) == pytest.approx([2, 2, 2])
    assert statistics.uniformity([[1.0, 1.0], [3.0, 3.0]])[0] == pytest.approx(0.5)


def test_a_pair_comes_as_often_as_its_faces():
    pairs = [(0, 1), (1, 2), (2, 0)]
    values = np.array([[1.0], [2.0], [3.0]])
    value, low, high = statistics.of_pairs(3, pairs, values, np.mean)
    assert value == 2 and low == 1 and high == 3


def test_rank_correlation():
    one = np.array([1.0, 2.0, 3.0, 4.0])
    assert statistics.rank_correlation(one, one**3) == pytest.approx(1)
    assert statistics.rank_correlation(one, -one) == pytest.approx(-1)
    scipy_stats = pytest.importorskip("scipy.stats")
    tied = np.array([1.0, 1.0, 2.0, 0.0])
    assert statistics.rank_correlation(one, tied) == pytest.approx(scipy_stats.spearmanr(one, tied).statistic)
    assert np.isnan(statistics.rank_correlation(one, np.ones(4)))
