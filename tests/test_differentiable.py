"""What `Differentiable` makes differentiable, against the same without it."""

import pytest
import torch
from torch.nn import functional

from pullback_core import Jacobian, adjoint_error
from pullback_core.differentiable import Differentiable
from pullback_core.jacobian import derivative_errors


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def attend(x):
    q, k, v = (x.unflatten(-1, (2, 4)).transpose(1, 2) * scale for scale in (1.0, 0.5, 2.0))
    return functional.scaled_dot_product_attention(q, k, v)


def overwrite(x):
    """As transformers do it to save memory: a norm's input is overwritten afterwards."""
    x = 2 * x
    x += functional.gelu(functional.layer_norm(x, x.shape[-1:]))
    x += functional.gelu(functional.rms_norm(x, x.shape[-1:]))
    return x


def turned(x):
    """A group norm of what is not contiguous."""
    return functional.group_norm(x.unflatten(-1, (2, 4)).permute(0, 2, 3, 1), 2) ** 2


@pytest.mark.parametrize("network", [attend, overwrite, turned])
def test_derivatives_are_right_within_it(network):
    def f(x):
        with Differentiable():
            return network(x)

    errors = derivative_errors(Jacobian(f, draw(6, 8)), network, changes=(1e-5,))
    assert errors.adjoint < 1e-12 and errors.difference < 1e-7 and errors.value < 1e-12


def test_overwriting_breaks_reverse_mode_without_it():
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        adjoint_error(Jacobian(overwrite, draw(6, 8)))
