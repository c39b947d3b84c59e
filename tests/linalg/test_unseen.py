"""Repeated and close singular values: residuals alone do not show what was overlooked."""

import math

import pytest
import torch
from dense_operators import DenseOperator, dense_matrix, largest_error

from pullback_core import top_singular_triplets
from pullback_core.linalg.scaled_operator import ScaledOperator
from pullback_core.linalg.search_space import Search
from pullback_core.linalg.unseen import CheckResult, UnseenPart

REPEATED = [9.0] * 3 + [5.0] * 5 + [4 * 0.97**i for i in range(1016)]


def jittered(ratio, count, seed):
    noise = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return sorted((ratio ** torch.arange(count) * torch.exp(0.1 * noise)).tolist(), reverse=True)


HIDDEN = {  # spectra in which a search may see a value too few times, or not at all
    "repeated": [9.0] * 3 + [5.0] * 5 + [4 * 0.97**i for i in range(80)],
    "gaps of 0.3%": [(1 - 0.003) ** i for i in range(12)] + [0.5 * 0.97**i for i in range(80)],
    "gaps of 0.03%": [(1 - 0.0003) ** i for i in range(6)]
    + [0.7 * (1 - 0.0003) ** i for i in range(6)]
    + [0.3] * 40,
    "clusters": [c * (1 - 0.003 * i) for c in (1.0, 0.8, 0.55) for i in range(3)]
    + [0.4 * 0.97**i for i in range(80)],
    "the last one repeated": [1.0, 0.9, 0.8, 0.7, 0.6] + [0.4] * 9 + [0.35 * 0.9**i for i in range(60)],
    "all equal": [2.0] * 90,
    "nearly all equal": [1 - 1e-4 * i for i in range(90)],
    "few": [3.0] * 4 + [1.0] * 3,
    "hyperbola": [1 / (1 + i) for i in range(90)],
    "jittered 0.8": jittered(0.8, 90, 1),
    "jittered 0.9": jittered(0.9, 90, 2),
    "jittered 0.95": jittered(0.95, 90, 3),
}


def searches(name, seeds, **options):
    dense = dense_matrix(110, 130, HIDDEN[name], torch.float32)
    return [top_singular_triplets(DenseOperator(dense), 8, seed=seed, **options) for seed in range(seeds)]


@pytest.mark.parametrize("name", HIDDEN)
def test_a_result_that_converged_has_the_largest_singular_values(name):
    for found in searches(name, 20):  # 240 in all
        assert found.converged and largest_error(found, HIDDEN[name]) <= 1e-2


@pytest.mark.parametrize(
    "options",
    [
        {"tolerance": 1e-3},
        {"tolerance": 0.1},
        {"block_size": 2},
        {"block_size": 8},
        {"method": "subspace", "max_products": 4000},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", HIDDEN)
def test_so_it_has_by_every_option(name, options):
    for found in searches(name, 4, **options):
        assert not found.converged or largest_error(found, HIDDEN[name]) <= options.get("tolerance", 1e-2)


def test_without_the_check_results_are_wrong(monkeypatch):
    def nothing_larger(search, options, doubt):
        return CheckResult.NOTHING_LARGER

    monkeypatch.setattr("pullback_core.linalg.krylov.check_unseen", nothing_larger)
    for name in ("repeated", "gaps of 0.3%", "the last one repeated"):
        assert any(
            found.converged and largest_error(found, HIDDEN[name]) > 1e-2 for found in searches(name, 10)
        ), name


@pytest.mark.parametrize("batch_size", [1, None])
def test_repeated_values_of_a_large_operator(batch_size):
    dense = dense_matrix(2048, 1024, REPEATED, torch.float32)
    for seed in range(3):
        operator = DenseOperator(dense)
        operator.batch_size = batch_size
        found = top_singular_triplets(operator, 8, seed=seed)
        assert found.converged and largest_error(found, REPEATED) <= 1e-2


def test_a_start_and_a_space_that_hold_one_of_equal_values_do_not_hide_the_others():
    values = HIDDEN["repeated"]
    dense = dense_matrix(110, 130, values)
    v = torch.linalg.svd(dense)[2]
    for seed in range(10):
        warm = top_singular_triplets(
            DenseOperator(dense), 8, seed=seed, start=v[[0, 3, 8, 9, 10, 11, 12, 13]]
        )
        assert warm.converged and largest_error(warm, values) <= 1e-2
        single = top_singular_triplets(DenseOperator(dense), 1, seed=seed)
        grown = top_singular_triplets(DenseOperator(dense), 8, seed=seed, search_space=single.search_space)
        assert grown.converged and largest_error(grown, values) <= 1e-2


def test_a_result_that_could_not_be_checked_has_not_converged():
    dense = dense_matrix(110, 130, HIDDEN["repeated"])
    needed = top_singular_triplets(DenseOperator(dense), 8).products
    found = top_singular_triplets(DenseOperator(dense), 8, max_products=needed - 2)
    assert not found.converged and found.residuals.max() <= 1e-2


def test_the_share_of_what_is_overlooked_is_bounded():
    """Compare the bound with the share that the largest value really has in the random vector."""
    values = [1.0] + [0.9 * 0.95**i for i in range(100)]
    operator = DenseOperator(torch.diag(torch.tensor(values, dtype=torch.float64)))
    for seed in range(20):
        search = Search(ScaledOperator(operator, max_products=100), seed)
        unseen = UnseenPart(search)
        for _ in range(10):
            unseen.extend()
            share = search.q[0, 0].item() ** 2
            unit = search.operator.scale**2  # the search divides the operator by its scale
            chance = unseen.chance_of_more_than(1 / unit)
            assert unseen.largest() <= (1 + 1e-12) / unit
            assert share <= math.pi * chance**2 / (2 * search.operator.n) * (1 + 1e-6)
