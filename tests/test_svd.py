"""The solver against dense decompositions of matrices with prescribed singular values.

Signs and rotations within equal singular values are free, so projectors are compared, never single vectors.
"""

import pytest
import torch

from pullback_core import top_singular_triplets


class Matrix:
    """A dense operator that counts its products."""

    def __init__(self, matrix, in_shape=None, out_shape=None):
        self.matrix, self.x, self.products = matrix, matrix.new_zeros(0), 0
        self.in_shape, self.out_shape = in_shape or (matrix.shape[1],), out_shape or (matrix.shape[0],)

    def jvp(self, v):
        self.products += len(v)
        return (v.flatten(1) @ self.matrix.T).view(-1, *self.out_shape)

    def vjp(self, u):
        self.products += len(u)
        return (u.flatten(1) @ self.matrix).view(-1, *self.in_shape)


def matrix(m, n, values, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.linalg.qr(torch.randn(size, len(values), generator=generator, dtype=torch.float64))[0] for size in (m, n))
    return (left * torch.tensor(values, dtype=torch.float64) @ right.T).to(dtype)


def projector(rows):
    return rows.flatten(1).T @ rows.flatten(1)


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
    dense = matrix(*shape, values)
    found = top_singular_triplets(Matrix(dense), rank, tolerance=1e-9, max_products=20_000, method=method)
    u, s, v = torch.linalg.svd(dense)
    assert found.converged
    torch.testing.assert_close(found.s, s[:rank], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(projector(found.v), projector(v[:rank]), rtol=0, atol=1e-6)
    torch.testing.assert_close(projector(found.u), projector(u.T[:rank]), rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_vectors_are_orthonormal_and_residuals_are_what_they_say(method, dtype):
    dense = matrix(60, 70, [1 / (1 + i) for i in range(50)], dtype)
    found = top_singular_triplets(Matrix(dense), 6, tolerance=1e-3, method=method)
    precision = 100 * torch.finfo(dtype).eps
    for rows in (found.v, found.u):
        torch.testing.assert_close(rows @ rows.T, torch.eye(6, dtype=dtype), rtol=0, atol=precision)
    torch.testing.assert_close(found.v @ dense.T, found.s[:, None] * found.u, rtol=0, atol=precision)
    measured = (found.u @ dense - found.s[:, None] * found.v).norm(dim=1) / found.s[0]
    torch.testing.assert_close(found.residuals, measured, rtol=1e-3, atol=precision)
    assert found.residuals.max() <= 1e-3 and (found.s.diff() <= 0).all()


@pytest.mark.parametrize("shape", [(6, 9), (9, 6), (6, 6)])
@pytest.mark.parametrize("rank", [1, 6])
def test_the_search_ends_when_the_whole_space_has_been_seen(shape, rank):
    dense = matrix(*shape, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    found = top_singular_triplets(Matrix(dense), rank, tolerance=1e-30, max_products=10_000)
    assert found.products == 2 * shape[1]
    torch.testing.assert_close(found.s, torch.linalg.svdvals(dense)[:rank])
    torch.testing.assert_close(found.u @ dense, found.s[:, None] * found.v, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", ["krylov", "subspace"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("values", [[2.0, 1.0], [0.0]], ids=["rank 2", "zero"])
def test_a_rank_deficient_operator_gives_zeros_and_complete_orthonormal_vectors(values, dtype, method):
    dense = matrix(30, 40, values, dtype)
    found = top_singular_triplets(Matrix(dense), 5, tolerance=1e-4, method=method)
    expected = torch.tensor(values + [0.0] * (5 - len(values)), dtype=dtype)
    assert found.converged
    torch.testing.assert_close(found.s, expected, rtol=1e-5, atol=1e-5)
    for rows in (found.v, found.u):
        torch.testing.assert_close(rows @ rows.T, torch.eye(5, dtype=dtype), rtol=0, atol=1e-5)
    torch.testing.assert_close(found.u @ dense, found.s[:, None] * found.v, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_one_dimension(shape):
    dense = torch.arange(1.0, 10.0).view(-1, shape[1])[: shape[0]] - 5.5
    found = top_singular_triplets(Matrix(dense), 1)
    torch.testing.assert_close(found.s, dense.norm().view(1))
    torch.testing.assert_close(found.u.T * found.s @ found.v, dense)


def test_vectors_have_the_operators_shapes():
    dense = matrix(24, 30, [3.0, 2.0, 1.0])
    flat, found = top_singular_triplets(Matrix(dense), 2), top_singular_triplets(Matrix(dense, (2, 3, 5), (4, 6)), 2)
    assert found.v.shape == (2, 2, 3, 5) and found.u.shape == (2, 4, 6)
    assert torch.equal(found.v.flatten(1), flat.v) and torch.equal(found.u.flatten(1), flat.u)


@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_a_seed_means_the_same_bits_and_signs_are_fixed(method):
    dense = matrix(40, 50, [0.9**i for i in range(30)])
    one, same, other = (
        top_singular_triplets(Matrix(dense), 4, tolerance=1e-10, max_products=9999, method=method, seed=seed) for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one[:4], same[:4]))
    assert not torch.equal(one.v, other.v)
    torch.testing.assert_close(one.v, other.v, rtol=0, atol=1e-6)
    assert (one.v.gather(1, one.v.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_krylov_needs_far_fewer_products_than_subspace_iteration():
    dense = matrix(200, 300, [0.97**i for i in range(150)])
    krylov, subspace = (top_singular_triplets(Matrix(dense), 8, max_products=5000, method=method) for method in ("krylov", "subspace"))
    assert krylov.converged and subspace.converged
    assert 4 * krylov.products <= subspace.products


@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_the_product_limit_holds_and_is_reported(method):
    operator = Matrix(matrix(200, 300, [0.99**i for i in range(150)]))
    found = top_singular_triplets(operator, 4, tolerance=1e-12, max_products=40, method=method)
    assert found.products == operator.products <= 40
    assert not found.converged and found.residuals.max() > 1e-12


def test_products_spent_on_measuring_zero_singular_values_are_counted():
    operator = Matrix(matrix(30, 40, [1.0]))
    assert top_singular_triplets(operator, 3).products == operator.products


def test_progress_is_told_and_can_end_the_work():
    calls = []
    found = top_singular_triplets(Matrix(matrix(40, 50, [0.9**i for i in range(30)])), 6, progress=lambda *call: calls.append(call))
    products, residuals = zip(*calls)
    assert list(products) == sorted(set(products)) and products[-1] == found.products
    assert residuals[0] == float("inf")  # the first block says nothing of six triplets yet
    assert residuals[-1] == pytest.approx(found.residuals.max().item())

    def stop(products, residual):
        raise InterruptedError

    operator = Matrix(matrix(40, 50, [1.0, 0.5]))
    with pytest.raises(InterruptedError):
        top_singular_triplets(operator, 2, progress=stop)
    assert operator.products == 4


@pytest.mark.parametrize("options, message", [
    ({"rank": 0}, "from 1 to 30.*got 0"),
    ({"rank": 31}, "from 1 to 30.*got 31"),
    ({"rank": 2, "tolerance": 0}, "tolerance.*positive"),
    ({"rank": 2, "tolerance": float("nan")}, "tolerance.*positive"),
    ({"rank": 2, "method": "magic"}, "'magic'.*krylov, subspace"),
    ({"rank": 4, "method": "subspace", "block_size": 2}, "block of 2"),
    ({"rank": 2, "block_size": 31}, "block of 31"),
    ({"rank": 2, "block_size": 0}, "block of 0"),
    ({"rank": 2, "block_size": -1}, "block of -1"),
    ({"rank": 2, "max_products": 0}, "max_products"),
    ({"rank": 8, "max_products": 8}, "max_products"),
])
def test_impossible_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        top_singular_triplets(Matrix(matrix(30, 40, [1.0])), **options)


def test_products_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        top_singular_triplets(Matrix(torch.full((5, 6), float("nan"))), 2)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_for_products_only(dtype):
    dense = matrix(30, 40, [4.0, 2.0, 1.0, 0.5])
    found = top_singular_triplets(Matrix(dense.to(dtype)), 2, tolerance=5e-2)
    assert found.v.dtype == torch.float32 and found.converged
    torch.testing.assert_close(found.s, torch.tensor([4.0, 2.0]), rtol=0.03, atol=0)


def test_a_start_near_the_answer_saves_products_and_a_poor_one_changes_nothing():
    dense = matrix(60, 70, [0.9**i for i in range(50)])
    cold = top_singular_triplets(Matrix(dense), 6, tolerance=1e-4)
    near = cold.v + 1e-4 * torch.randn(cold.v.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    warm = top_singular_triplets(Matrix(dense), 6, tolerance=1e-4, start=near)
    assert warm.converged and warm.products < cold.products
    torch.testing.assert_close(warm.s, cold.s, rtol=1e-4, atol=0)
    wrong = torch.linalg.svd(dense)[2][-3:]  # what J does not see at all
    lost = top_singular_triplets(Matrix(dense), 6, tolerance=1e-4, start=wrong)
    assert lost.converged
    torch.testing.assert_close(lost.s, cold.s, rtol=1e-4, atol=0)


@pytest.mark.parametrize("start, method", [((2, 69), "krylov"), ((0, 70), "krylov"), ((2, 70), "subspace")])
def test_an_impossible_start_is_refused(start, method):
    with pytest.raises(ValueError, match="start"):
        top_singular_triplets(Matrix(matrix(60, 70, [1.0] * 50)), 2, method=method, start=torch.ones(start))


@pytest.mark.parametrize("batch_size", [1, None])
def test_a_space_goes_on_where_the_search_ended(batch_size):
    operator = Matrix(matrix(200, 300, [0.95**i for i in range(150)]))
    operator.batch_size = batch_size
    whole = top_singular_triplets(operator, 16)
    part = top_singular_triplets(operator, 8)
    spent = operator.products
    rest = top_singular_triplets(operator, 16, space=part.space)
    assert operator.products - spent == rest.products  # the one that compares operators is counted
    assert part.products + rest.products <= whole.products + 1
    for one, other in zip(rest[:4], whole[:4]):  # the same Krylov space
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    finer = top_singular_triplets(operator, 8, tolerance=1e-6, space=part.space)
    assert finer.converged and finer.residuals.max() <= 1e-6
    assert part.products + finer.products <= top_singular_triplets(operator, 8, tolerance=1e-6).products + 1


def test_a_space_of_another_operator_costs_one_product_and_changes_nothing():
    values = [0.95**i for i in range(150)]
    dense = matrix(200, 300, values)
    other = Matrix(dense + 0.02 * matrix(200, 300, values, seed=1))
    space = top_singular_triplets(Matrix(dense), 8).space
    with_it, without = top_singular_triplets(other, 8, space=space), top_singular_triplets(other, 8)
    assert with_it.products == without.products + 1
    assert torch.equal(with_it.v, without.v) and torch.equal(with_it.residuals, without.residuals)


def test_a_space_that_holds_everything_begins_anew():
    dense = matrix(6, 9, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    whole = top_singular_triplets(Matrix(dense), 6, tolerance=1e-30, max_products=10_000)
    again = top_singular_triplets(Matrix(dense), 6, space=whole.space)
    torch.testing.assert_close(again.s, whole.s)


@pytest.mark.parametrize("shape, method", [((60, 69), "krylov"), ((61, 70), "krylov"), ((60, 70), "subspace")])
def test_an_impossible_space_is_refused(shape, method):
    space = top_singular_triplets(Matrix(matrix(*shape, [1.0, 0.5])), 2).space
    with pytest.raises(ValueError, match="space"):
        top_singular_triplets(Matrix(matrix(60, 70, [1.0, 0.5])), 2, method=method, space=space)


def test_the_search_waits_until_the_singular_values_have_settled(monkeypatch):
    values = [1.0, 0.3, 0.1, *(0.07 * 0.97**i for i in range(100))]
    dense = matrix(200, 300, values)

    def worst():
        found = [top_singular_triplets(Matrix(dense), 8, seed=seed, block_size=1) for seed in range(10)]
        assert all(one.residuals.max() <= 1e-2 for one in found)
        return max((one.s - torch.tensor(values[:8], dtype=torch.float64)).abs().max().item() for one in found)

    assert worst() <= 1e-2
    monkeypatch.setattr("pullback_core.svd.SETTLED", float("inf"))
    assert worst() > 1e-2  # residuals alone end too early


def test_single_vectors_take_the_fewest_products():
    operator = Matrix(matrix(200, 300, [0.95**i for i in range(150)]))
    pairs = top_singular_triplets(operator, 8)
    operator.batch_size = 1
    single = top_singular_triplets(operator, 8)
    assert single.products < pairs.products and single.converged
    torch.testing.assert_close(single.s, pairs.s, rtol=0, atol=1e-2)
