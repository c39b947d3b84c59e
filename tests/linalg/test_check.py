"""Checks of products must find wrong products, and let right ones pass."""

import pytest
import torch
from smooth_maps import bend, draw, encoder

from pullback_core import Jacobian, adjoint_error
from pullback_core.linalg.check import derivative_errors, linearity_error


@pytest.mark.parametrize("dtype, bound", [(torch.float64, 1e-13), (torch.float32, 1e-5)])
def test_the_adjoint_identity_holds(dtype, bound):
    assert adjoint_error(Jacobian(encoder(dtype), draw(3, 8, 8, dtype=dtype))) < bound


def test_the_adjoint_identity_catches_a_wrong_product():
    operator = Jacobian(bend, draw(2, 3))
    right = operator.vjp
    operator.vjp = lambda u: 1.1 * right(u)
    assert adjoint_error(operator) > 1e-3


def test_a_product_that_leaves_something_out_is_caught():
    def forgetful(x):  # the kind of kernel that has no derivative: its part counts in f, not in J
        return bend(x) + bend(x).detach()

    x = draw(2, 3)
    assert max(derivative_errors(Jacobian(bend, x), bend, changes=(1e-4,))) < 1e-6
    errors = derivative_errors(Jacobian(forgetful, x), forgetful, changes=(1e-4,))
    assert errors.adjoint < 1e-12 and errors.value < 1e-12
    assert errors.difference > 0.4
    assert derivative_errors(Jacobian(lambda x: bend(x.detach()), x), bend).difference == float("inf")


def test_a_part_that_is_detached_is_found_by_differences():
    """Autograd cannot know it: it sees the other part."""

    def partly(x):
        with torch.no_grad():
            hidden = bend(x)
        return hidden + 0.5 * x.flatten(1)[:, :4]

    x = draw(2, 3)
    assert Jacobian(partly, x).jvp(draw(1, 2, 3)).any()
    assert derivative_errors(Jacobian(partly, x), partly, changes=(1e-4,)).difference > 0.1


def test_a_product_of_another_function_is_caught():
    """As of a kernel that computes something else inside a transform."""
    x = draw(2, 3)
    errors = derivative_errors(Jacobian(lambda x: bend(x) + 1, x), bend, changes=(1e-4,))
    assert max(errors.adjoint, errors.difference) < 1e-6
    assert errors.value > 0.1


@pytest.mark.parametrize("sign", [1.1, -1.0])
def test_rows_that_are_not_those_of_the_columns_are_caught(sign):
    operator = Jacobian(bend, draw(2, 3))
    right = operator.vjp
    operator.vjp = lambda u: sign * right(u)
    assert derivative_errors(operator, bend, changes=(1e-4,)).adjoint > 0.02


class Lossy(torch.autograd.Function):
    """2 x, with a backward pass that autograd cannot differentiate in full."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 0.5 * gradient + 1.5 * gradient.detach()


class Frozen(torch.autograd.Function):
    """2 x, with a backward pass that autograd cannot differentiate at all."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient.detach()


def test_the_backward_pass_of_right_products_is_linear():
    x = draw(1, 2, 3).requires_grad_()
    assert linearity_error(bend(x), x) < 1e-12 and linearity_error(0 * x, x) == 0


def test_a_backward_pass_that_loses_a_part_is_not():
    x = draw(1, 2, 3).requires_grad_()
    assert abs(linearity_error(Lossy.apply(torch.tanh(x)), x) - 0.75) < 1e-12
    with pytest.raises(RuntimeError, match="does not require grad"):
        linearity_error(Frozen.apply(x), x)
