"""The solver against dense decompositions of matrices with prescribed singular values.

Signs and rotations within equal singular values are free, so projectors are compared, never single vectors.
"""

import math

import pytest
import torch
from torch import autocast

from pullback_core import top_singular_triplets
from pullback_core.linalg import svd


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
    left, right = (
        torch.linalg.qr(torch.randn(size, len(values), generator=generator, dtype=torch.float64))[0]
        for size in (m, n)
    )
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
    flat, found = (
        top_singular_triplets(Matrix(dense), 2),
        top_singular_triplets(Matrix(dense, (2, 3, 5), (4, 6)), 2),
    )
    assert found.v.shape == (2, 2, 3, 5) and found.u.shape == (2, 4, 6)
    assert torch.equal(found.v.flatten(1), flat.v) and torch.equal(found.u.flatten(1), flat.u)


@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_a_seed_means_the_same_bits_and_signs_are_fixed(method):
    dense = matrix(40, 50, [0.9**i for i in range(30)])
    one, same, other = (
        top_singular_triplets(Matrix(dense), 4, tolerance=1e-10, max_products=9999, method=method, seed=seed)
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(a, b) for a, b in zip(one[:4], same[:4]))
    assert not torch.equal(one.v, other.v)
    torch.testing.assert_close(one.v, other.v, rtol=0, atol=1e-6)
    assert (one.v.gather(1, one.v.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_krylov_needs_far_fewer_products_than_subspace_iteration():
    dense = matrix(200, 300, [0.97**i for i in range(150)])
    krylov, subspace = (
        top_singular_triplets(Matrix(dense), 8, max_products=5000, method=method)
        for method in ("krylov", "subspace")
    )
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
    found = top_singular_triplets(
        Matrix(matrix(40, 50, [0.9**i for i in range(30)])), 6, progress=lambda *call: calls.append(call)
    )
    products, residuals = zip(*calls)
    assert list(products) == sorted(set(products)) and products[-1] == found.products
    assert residuals[0] == float("inf")  # the first block says nothing of six triplets yet
    assert residuals[-1] == pytest.approx(found.residuals.max().item())

    def stop(products, residual):
        raise InterruptedError

    operator = Matrix(matrix(40, 50, [1.0, 0.5]))
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
    near = cold.v + 1e-4 * torch.randn(
        cold.v.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    warm = top_singular_triplets(Matrix(dense), 6, tolerance=1e-4, start=near)
    assert warm.converged
    spent = [
        sum(
            top_singular_triplets(Matrix(dense), 6, tolerance=1e-4, start=start, seed=seed).products
            for seed in range(10)
        )
        for start in (None, near)
    ]
    assert spent[1] < spent[0]
    torch.testing.assert_close(warm.s, cold.s, rtol=1e-4, atol=0)
    wrong = torch.linalg.svd(dense)[2][-3:]  # what J does not see at all
    lost = top_singular_triplets(Matrix(dense), 6, tolerance=1e-4, start=wrong)
    assert lost.converged
    torch.testing.assert_close(lost.s, cold.s, rtol=1e-4, atol=0)


@pytest.mark.parametrize("start, method", [((2, 69), "krylov"), ((0, 70), "krylov"), ((2, 70), "subspace")])
def test_an_impossible_start_is_refused(start, method):
    with pytest.raises(ValueError, match="start"):
        top_singular_triplets(Matrix(matrix(60, 70, [1.0] * 50)), 2, method=method, start=torch.ones(start))


def test_a_space_goes_on_where_the_search_ended():
    operator = Matrix(matrix(200, 300, [0.95**i for i in range(150)]))
    whole = top_singular_triplets(operator, 16)
    part = top_singular_triplets(operator, 8)
    spent = operator.products
    rest = top_singular_triplets(operator, 16, space=part.space)
    assert operator.products - spent == rest.products  # the one that compares operators is counted
    assert rest.converged and rest.products < whole.products
    torch.testing.assert_close(rest.s, whole.s, rtol=0, atol=1e-2)
    finer = top_singular_triplets(operator, 8, tolerance=1e-6, space=part.space)
    assert finer.converged and finer.residuals.max() <= 1e-6
    assert finer.products < top_singular_triplets(operator, 8, tolerance=1e-6).products


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


@pytest.mark.parametrize(
    "shape, method", [((60, 69), "krylov"), ((61, 70), "krylov"), ((60, 70), "subspace")]
)
def test_an_impossible_space_is_refused(shape, method):
    space = top_singular_triplets(Matrix(matrix(*shape, [1.0, 0.5])), 2).space
    with pytest.raises(ValueError, match="space"):
        top_singular_triplets(Matrix(matrix(60, 70, [1.0, 0.5])), 2, method=method, space=space)


# ---- repeated and close singular values: residuals alone do not show what was overlooked ----

ISSUED = [9.0] * 3 + [5.0] * 5 + [4 * 0.97**i for i in range(1016)]


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


def error(found, values):
    """How far the singular values are off, as a fraction of the largest one."""
    values = sorted(values, reverse=True) + [0.0] * len(found.s)
    right = torch.tensor(values[: len(found.s)], dtype=torch.float64)
    return ((found.s.double() - right).abs().max() / right[0]).item()


def searches(name, seeds, **options):
    dense = matrix(110, 130, HIDDEN[name], torch.float32)
    return [top_singular_triplets(Matrix(dense), 8, seed=seed, **options) for seed in range(seeds)]


@pytest.mark.parametrize("name", HIDDEN)
def test_a_result_that_converged_has_the_largest_singular_values(name):
    for found in searches(name, 20):  # 240 in all
        assert found.converged and error(found, HIDDEN[name]) <= 1e-2


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
        assert not found.converged or error(found, HIDDEN[name]) <= options.get("tolerance", 1e-2)


def test_without_the_check_results_are_wrong(monkeypatch):
    monkeypatch.setattr("pullback_core.linalg.svd._check", lambda search, doubt: True)
    for name in ("repeated", "gaps of 0.3%", "the last one repeated"):
        assert any(found.converged and error(found, HIDDEN[name]) > 1e-2 for found in searches(name, 10)), (
            name
        )


@pytest.mark.parametrize("batch_size", [1, None])
def test_repeated_values_of_a_large_operator(batch_size):
    dense = matrix(2048, 1024, ISSUED, torch.float32)
    for seed in range(3):
        operator = Matrix(dense)
        operator.batch_size = batch_size
        found = top_singular_triplets(operator, 8, seed=seed)
        assert found.converged and error(found, ISSUED) <= 1e-2


def test_a_start_and_a_space_that_hold_one_of_equal_values_do_not_hide_the_others():
    values = HIDDEN["repeated"]
    dense = matrix(110, 130, values)
    v = torch.linalg.svd(dense)[2]
    for seed in range(10):
        warm = top_singular_triplets(Matrix(dense), 8, seed=seed, start=v[[0, 3, 8, 9, 10, 11, 12, 13]])
        assert warm.converged and error(warm, values) <= 1e-2
        single = top_singular_triplets(Matrix(dense), 1, seed=seed)
        grown = top_singular_triplets(Matrix(dense), 8, seed=seed, space=single.space)
        assert grown.converged and error(grown, values) <= 1e-2


def test_a_result_that_could_not_be_checked_has_not_converged():
    dense = matrix(110, 130, HIDDEN["repeated"])
    needed = top_singular_triplets(Matrix(dense), 8).products
    found = top_singular_triplets(Matrix(dense), 8, max_products=needed - 2)
    assert not found.converged and found.residuals.max() <= 1e-2


def test_the_share_of_what_is_overlooked_is_bounded():
    """The bound from the iteration against the share that the largest value really has in the random vector."""
    values = [1.0] + [0.9 * 0.95**i for i in range(100)]
    operator = Matrix(torch.diag(torch.tensor(values, dtype=torch.float64)))
    for seed in range(20):
        search = svd._Search(operator, seed, None)
        search.max_products = 100
        unseen = svd._Unseen(search)
        for _ in range(10):
            unseen.extend()
            share = search.q[0, 0].item() ** 2
            unit = search.scale**2  # the search divides the operator by its scale
            chance = unseen.chance_of_more_than(1 / unit)
            assert unseen.largest() <= (1 + 1e-12) / unit
            assert share <= math.pi * chance**2 / (2 * search.n) * (1 + 1e-6)


# ---- tiny and huge operators ----


@pytest.mark.parametrize(
    "dtype, powers",
    [
        (torch.float32, (-40, -36, -30, -23, -19, -10, 10, 19, 23, 30, 36)),
        (torch.float64, (-300, -160, -100, 100, 160, 300)),
    ],
)
@pytest.mark.parametrize("method", ["krylov", "subspace"])
def test_the_scale_of_an_operator_changes_nothing(dtype, powers, method):
    values = [1.0, 0.5, 0.5, 0.3, *(0.25 * 0.9**i for i in range(30))]
    dense = matrix(50, 60, values)
    plain = top_singular_triplets(Matrix(dense.to(dtype)), 4, method=method)
    for power in powers:
        found = top_singular_triplets(Matrix((dense * 10.0**power).to(dtype)), 4, method=method)
        assert found.converged and found.residuals.max() <= 1e-2
        torch.testing.assert_close(found.s.double() / 10.0**power, plain.s.double(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.v @ found.v.T, torch.eye(4, dtype=dtype), rtol=0, atol=1e-5)
        torch.testing.assert_close(found.u @ found.u.T, torch.eye(4, dtype=dtype), rtol=0, atol=1e-5)


def test_a_space_of_a_tiny_operator_goes_on():
    operator = Matrix(matrix(50, 60, [0.9**i * 1e-23 for i in range(40)], torch.float32))
    part = top_singular_triplets(operator, 3)
    rest = top_singular_triplets(operator, 8, space=part.space)
    assert rest.converged and rest.products < top_singular_triplets(operator, 8).products
    assert error(rest, [0.9**i * 1e-23 for i in range(40)]) <= 1e-2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("power", [-3, 0, 3])
def test_half_precision_at_several_scales(dtype, power):
    values = [4.0, 2.0, 2.0, 1.0, 0.5]
    found = top_singular_triplets(
        Matrix(matrix(30, 40, [value * 10**power for value in values]).to(dtype)), 3, tolerance=5e-2
    )
    assert found.converged and error(found, [value * 10**power for value in values]) <= 5e-2


def test_values_beyond_the_range_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        top_singular_triplets(Matrix(torch.full((50, 60), 3e38)), 2)


@pytest.mark.parametrize("place", ["jvp", "vjp"])
def test_a_product_that_is_not_finite_is_refused_wherever_it_comes(place):
    operator = Matrix(matrix(50, 60, [0.9**i for i in range(40)]))
    right, calls = getattr(operator, place), []

    def spoiled(vectors):
        calls.append(1)
        return right(vectors) * (float("nan") if len(calls) == 9 else 1.0)

    setattr(operator, place, spoiled)
    with pytest.raises(ValueError, match="not finite"):
        top_singular_triplets(operator, 8)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize(
    "values", [[1.0] * 7, [1.0, 1.0, 0.5, 0, 0, 0, 0], [0.0] * 7], ids=["identity", "deficient", "zero"]
)
def test_tiny_operators_of_every_rank(size, values):
    dense = torch.diag(torch.tensor(values[:size]))
    for rank in range(1, size + 1):
        for method in ("krylov", "subspace"):
            found = top_singular_triplets(Matrix(dense), rank, method=method)
            assert (
                found.converged and error(found, [*values[:size]]) <= 1e-6 if values[0] else not found.s.any()
            )
            torch.testing.assert_close(found.u @ found.u.T, torch.eye(rank), rtol=0, atol=1e-5)


def test_autocast_around_changes_nothing():
    operator = matrix(60, 40, [0.8**index for index in range(40)], dtype=torch.float32)
    expected = top_singular_triplets(Matrix(operator), 4, tolerance=1e-4)
    with autocast("cpu", torch.bfloat16):
        found = top_singular_triplets(Matrix(operator), 4, tolerance=1e-4)
    assert torch.equal(found.s, expected.s) and torch.equal(found.v, expected.v) and found.converged
