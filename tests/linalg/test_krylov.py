"""Block Krylov iteration: what it costs, where it begins and where it ends."""

import pytest
import torch
from dense_operators import DenseOperator, dense_matrix

from pullback_core import top_singular_triplets


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (6, 6)])
@pytest.mark.parametrize("rank", [1, 6])
def test_the_search_ends_when_the_whole_space_has_been_seen(shape, rank):
    dense = dense_matrix(*shape, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    found = top_singular_triplets(DenseOperator(dense), rank, tolerance=1e-30, max_products=10_000)
    assert found.products == 2 * shape[1]
    torch.testing.assert_close(found.s, torch.linalg.svdvals(dense)[:rank])
    torch.testing.assert_close(found.u @ dense, found.s[:, None] * found.v, rtol=0, atol=1e-12)


def test_krylov_needs_far_fewer_products_than_subspace_iteration():
    dense = dense_matrix(200, 300, [0.97**i for i in range(150)])
    krylov, subspace = (
        top_singular_triplets(DenseOperator(dense), 8, max_products=5000, method=method)
        for method in ("krylov", "subspace")
    )
    assert krylov.converged and subspace.converged
    assert 4 * krylov.products <= subspace.products


def test_a_start_near_the_answer_saves_products_and_a_poor_one_changes_nothing():
    dense = dense_matrix(60, 70, [0.9**i for i in range(50)])
    cold = top_singular_triplets(DenseOperator(dense), 6, tolerance=1e-4)
    near = cold.v + 1e-4 * torch.randn(
        cold.v.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    warm = top_singular_triplets(DenseOperator(dense), 6, tolerance=1e-4, start=near)
    assert warm.converged
    spent = [
        sum(
            top_singular_triplets(DenseOperator(dense), 6, tolerance=1e-4, start=start, seed=seed).products
            for seed in range(10)
        )
        for start in (None, near)
    ]
    assert spent[1] < spent[0]
    torch.testing.assert_close(warm.s, cold.s, rtol=1e-4, atol=0)
    wrong = torch.linalg.svd(dense)[2][-3:]  # what J does not see at all
    lost = top_singular_triplets(DenseOperator(dense), 6, tolerance=1e-4, start=wrong)
    assert lost.converged
    torch.testing.assert_close(lost.s, cold.s, rtol=1e-4, atol=0)


@pytest.mark.parametrize("start, method", [((2, 69), "krylov"), ((0, 70), "krylov"), ((2, 70), "subspace")])
def test_an_impossible_start_is_refused(start, method):
    with pytest.raises(ValueError, match="start"):
        top_singular_triplets(
            DenseOperator(dense_matrix(60, 70, [1.0] * 50)), 2, method=method, start=torch.ones(start)
        )
