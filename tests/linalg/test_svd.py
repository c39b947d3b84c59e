"""The solver against dense decompositions of matrices with prescribed singular values.

Signs and rotations within equal singular values are free, so projectors are compared, never single vectors.
"""

import pytest
import torch
from dense_operators import DenseOperator, dense_matrix, largest_error, projector
from torch import autocast

from pullback_core import top_singular_triplets

SPECTRA = {  # values, rank; the gap after `rank` is wide enough for projectors to be well defined
    "fast": ([2.0**-i for i in range(20)], 5),
    "slow": ([1 - 0.02 * i for i in range(8)] + [0.6 - 0.01 * i for i in range(40)], 8),
    "clustered": ([1 + 1e-9 * i for i in range(4)] + [0.5 - 0.01 * i for i in range(20)], 4),
    "repeated": ([3.0] * 3 + [1.0] * 4 + [0.3 - 0.01 * i for i in range(20)], 7),
    "repeated beyond the block": ([3.0] * 7 + [1.0] * 6, 7),
    "one dominates": ([1e4, *(1.0 - 0.1 * i for i in range(8))], 1),
    "full": ([6.0, 5.0, 4.0, 3.0, 2.0, 1.0], 6),
}


@pytest.mark.parametrize("method", ["krylov", "subspace"])
@pytest.mark.parametrize("shape", [(50, 80), (80, 50), (50, 50)])
@pytest.mark.parametrize("name", SPECTRA)
def test_triplets_equal_the_dense_decomposition(name, shape, method):
    values, rank = SPECTRA[name]
    dense = dense_matrix(*shape, values)
    found = top_singular_triplets(
        DenseOperator(dense), rank, tolerance=1e-9, max_products=20_000, method=method
    )
    u, s, v = torch.linalg.svd(dense)
    assert found.converged
    torch.testing.assert_close(found.s, s[:rank], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(projector(found.v), projector(v[:rank]), rtol=0, atol=1e-6)
    torch.testing.assert_close(projector(found.u), projector(u.T[:rank]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_vectors_are_orthonormal_and_residuals_are_what_they_say(method, dtype):
    dense = dense_matrix(60, 70, [1 / (1 + i) for i in range(50)], dtype)
    found = top_singular_triplets(DenseOperator(dense), 6, tolerance=1e-3, method=method)
    precision = 100 * torch.finfo(dtype).eps
    for rows in (found.v, found.u):
        torch.testing.assert_close(rows @ rows.T, torch.eye(6, dtype=dtype), rtol=0, atol=precision)
    torch.testing.assert_close(found.v @ dense.T, found.s[:, None] * found.u, rtol=0, atol=precision)
    measured = (found.u @ dense - found.s[:, None] * found.v).norm(dim=1) / found.s[0]
    torch.testing.assert_close(found.residuals, measured, rtol=1e-3, atol=precision)
    assert found.residuals.max() <= 1e-3 and (found.s.diff() <= 0).all()


@pytest.mark.parametrize("method", ["krylov", "subspace"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("values", [[2.0, 1.0], [0.0]], ids=["rank 2", "zero"])
def test_a_rank_deficient_operator_gives_zeros_and_complete_orthonormal_vectors(values, dtype, method):
    dense = dense_matrix(30, 40, values, dtype)
    found = top_singular_triplets(DenseOperator(dense), 5, tolerance=1e-4, method=method)
    expected = torch.tensor(values + [0.0] * (5 - len(values)), dtype=dtype)
    assert found.converged
    torch.testing.assert_close(found.s, expected, rtol=1e-5, atol=1e-5)
    for rows in (found.v, found.u):
        torch.testing.assert_close(rows @ rows.T, torch.eye(5, dtype=dtype), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.u @ dense, found.s[:, None] * found.v, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_one_dimension(shape):
    dense = torch.arange(1.0, 10.0).view(-1, shape[1])[: shape[0]] - 5.5
    found = top_singular_triplets(DenseOperator(dense), 1)
    torch.testing.assert_close(found.s, dense.norm().view(1))
    torch.testing.assert_close(found.u.T * found.s @ found.v, dense)


def test_vectors_have_the_operators_shapes():
    dense = dense_matrix(24, 30, [3.0, 2.0, 1.0])
    flat, found = (
        top_singular_triplets(DenseOperator(dense), 2),
        top_singular_triplets(DenseOperator(dense, (2, 3, 5), (4, 6)), 2),
    )
    assert found.v.shape == (2, 2, 3, 5) and found.u.shape == (2, 4, 6)
    assert torch.equal(found.v.flatten(1), flat.v) and torch.equal(found.u.flatten(1), flat.u)


@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_a_seed_means_the_same_bits_and_signs_are_fixed(method):
    dense = dense_matrix(40, 50, [0.9**i for i in range(30)])
    one, same, other = (
        top_singular_triplets(
            DenseOperator(dense), 4, tolerance=1e-10, max_products=9999, method=method, seed=seed
        )
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one[:4], same[:4]))
    assert not torch.equal(one.v, other.v)
    torch.testing.assert_close(one.v, other.v, rtol=0, atol=1e-6)
    assert (one.v.gather(1, one.v.abs().argmax(dim=1, keepdim=True)) > 0).all()


@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_the_product_limit_holds_and_is_reported(method):
    operator = DenseOperator(dense_matrix(200, 300, [0.99**i for i in range(150)]))
    found = top_singular_triplets(operator, 4, tolerance=1e-12, max_products=40, method=method)
    assert found.products == operator.products <= 40
    assert not found.converged and found.residuals.max() > 1e-12


def test_products_spent_on_measuring_zero_singular_values_are_counted():
    operator = DenseOperator(dense_matrix(30, 40, [1.0]))
    assert top_singular_triplets(operator, 3).products == operator.products


def test_progress_is_told_and_can_end_the_work():
    calls = []
    found = top_singular_triplets(
        DenseOperator(dense_matrix(40, 50, [0.9**i for i in range(30)])),
        6,
        progress=lambda *call: calls.append(call),
    )
    products, residuals = zip(*calls)
    assert list(products) == sorted(set(products)) and products[-1] == found.products
    assert residuals[0] == float("inf")  # the first block says nothing of six triplets yet
    assert residuals[-1] == pytest.approx(found.residuals.max().item())

    def stop(products, residual):
        raise InterruptedError

    operator = DenseOperator(dense_matrix(40, 50, [1.0, 0.5]))
    with pytest.raises(InterruptedError):
        top_singular_triplets(operator, 2, progress=stop)
    assert operator.products == 2


@pytest.mark.parametrize(
    "options, message",
    [
        ({"rank": 0}, "from 1 to 30.*got 0"),
        ({"rank": 31}, "from 1 to 30.*got 31"),
        ({"rank": 2, "tolerance": 0}, "tolerance.*positive"),
        ({"rank": 2, "tolerance": float("nan")}, "tolerance.*positive"),
        ({"rank": 2, "tolerance": float("inf")}, "tolerance.*finite"),
        ({"rank": 2, "method": "magic"}, "'magic'.*krylov, subspace"),
        ({"rank": 4, "method": "subspace", "block_size": 2}, "block of 2"),
        ({"rank": 2, "block_size": 31}, "block of 31"),
        ({"rank": 2, "block_size": 0}, "block of 0"),
        ({"rank": 2, "block_size": -1}, "block of -1"),
        ({"rank": 2, "max_products": 0}, "max_products"),
        ({"rank": 8, "max_products": 8}, "max_products"),
    ],
)
def test_impossible_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        top_singular_triplets(DenseOperator(dense_matrix(30, 40, [1.0])), **options)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "values", [[1.0] * 7, [1.0, 1.0, 0.5, 0, 0, 0, 0], [0.0] * 7], ids=["identity", "deficient", "zero"]
)
def test_tiny_operators_of_every_rank(size, values):
    dense = torch.diag(torch.tensor(values[:size]))
    for rank in range(1, size + 1):
        for method in ("krylov", "subspace"):
            found = top_singular_triplets(DenseOperator(dense), rank, method=method)
            assert (
                found.converged and largest_error(found, [*values[:size]]) <= 1e-6
                if values[0]
                else not found.s.any()
            )
            torch.testing.assert_close(found.u @ found.u.T, torch.eye(rank), rtol=0, atol=1e-5)


def test_autocast_around_changes_nothing():
    operator = dense_matrix(60, 40, [0.8**index for index in range(40)], dtype=torch.float32)
    expected = top_singular_triplets(DenseOperator(operator), 4, tolerance=1e-4)
    with autocast("cpu", torch.bfloat16):
        found = top_singular_triplets(DenseOperator(operator), 4, tolerance=1e-4)
    assert torch.equal(found.s, expected.s) and torch.equal(found.v, expected.v) and found.converged
