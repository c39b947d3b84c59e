"""Operators whose values, or their squares, leave the range of the precision."""

import pytest
import torch
from dense_operators import DenseOperator, dense_matrix, largest_error

from pullback_core import top_singular_triplets


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
    dense = dense_matrix(50, 60, values)
    plain = top_singular_triplets(DenseOperator(dense.to(dtype)), 4, method=method)
    for power in powers:
        found = top_singular_triplets(DenseOperator((dense * 10.0**power).to(dtype)), 4, method=method)
        assert found.converged and found.residuals.max() <= 1e-2
        torch.testing.assert_close(found.s.double() / 10.0**power, plain.s.double(), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(found.v @ found.v.T, torch.eye(4, dtype=dtype), rtol=0, atol=1e-5)
        torch.testing.assert_close(found.u @ found.u.T, torch.eye(4, dtype=dtype), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_for_products_only(dtype):
    dense = dense_matrix(30, 40, [4.0, 2.0, 1.0, 0.5])
    found = top_singular_triplets(DenseOperator(dense.to(dtype)), 2, tolerance=5e-2)
    assert found.v.dtype == torch.float32 and found.converged
    torch.testing.assert_close(found.s, torch.tensor([4.0, 2.0]), rtol=0.03, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("power", [-3, 0, 3])
def test_half_precision_at_several_scales(dtype, power):
    values = [4.0, 2.0, 2.0, 1.0, 0.5]
    found = top_singular_triplets(
        DenseOperator(dense_matrix(30, 40, [value * 10**power for value in values]).to(dtype)),
        3,
        tolerance=5e-2,
    )
    assert found.converged and largest_error(found, [value * 10**power for value in values]) <= 5e-2


def test_products_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        top_singular_triplets(DenseOperator(torch.full((5, 6), float("nan"))), 2)


def test_values_beyond_the_range_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        top_singular_triplets(DenseOperator(torch.full((50, 60), 3e38)), 2)


@pytest.mark.parametrize("place", ["jvp", "vjp"])
def test_a_product_that_is_not_finite_is_refused_wherever_it_comes(place):
    operator = DenseOperator(dense_matrix(50, 60, [0.9**i for i in range(40)]))
    right, calls = getattr(operator, place), []

    def spoiled(vectors):
        calls.append(1)
        return right(vectors) * (float("nan") if len(calls) == 9 else 1.0)

    setattr(operator, place, spoiled)
    with pytest.raises(ValueError, match="not finite"):
        top_singular_triplets(operator, 8)
