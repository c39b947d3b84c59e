"""Subspace iteration is Algorithm 1 of the paper, with a Rayleigh-Ritz step."""

import pytest
import torch
from dense_operators import DenseOperator, dense_matrix, projector

from pullback_core import top_singular_triplets
from pullback_core.linalg.scaled_operator import ScaledOperator
from pullback_core.linalg.search_space import Search, SearchOptions
from pullback_core.linalg.subspace_iteration import subspace_iteration


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_it_multiplies_one_block_again_and_again(steps):
    dense = dense_matrix(50, 60, [0.9**i for i in range(40)])
    operator = DenseOperator(dense)
    found = top_singular_triplets(
        operator, 4, tolerance=1e-12, max_products=8 * steps, method="subspace", seed=3
    )
    assert found.products == operator.products == 8 * steps and not found.converged
    block = torch.randn(4, 60, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for _ in range(steps - 1):
        block = block @ dense.T @ dense
    expected = projector(torch.linalg.qr(block.T)[0].T)
    torch.testing.assert_close(projector(found.v), expected, rtol=0, atol=1e-9)


def test_only_the_newest_block_is_kept():
    search = Search(ScaledOperator(DenseOperator(dense_matrix(50, 60, [0.9**i for i in range(40)])), 80), 0)
    found, nothing_larger = subspace_iteration(search, SearchOptions(rank=4, tolerance=1e-12, block_size=5))
    assert len(search.q) == len(search.images) == len(search.returns) == 5
    assert found.v.shape == (4, 60) and not nothing_larger


def test_it_keeps_no_search_space():
    dense = dense_matrix(50, 60, [2.0**-i for i in range(40)])
    found = top_singular_triplets(DenseOperator(dense), 2, method="subspace")
    assert found.converged and found.search_space is None
