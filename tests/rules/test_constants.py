"""Weights that are overwritten after their layer has used them."""

import numpy as np
import pytest
import torch
from rule_checks import draw

from pullback_core import Differentiable, Jacobian
from pullback_core.rules.constants import WatchedConstants

STORED = (draw(4, 4, seed=1), draw(4, 4, seed=2))


class Streamed:
    """Two layers whose weights go through the same memory. torch does not see that it is overwritten."""

    def __init__(self, dtype=torch.float64):
        self.weight = torch.zeros(4, 4, dtype=dtype)

    def __call__(self, x):
        for stored in STORED:
            np.copyto(self.weight.numpy(), stored.to(self.weight.dtype).numpy())
            x = torch.sin(x) @ self.weight
        return x


def two_layers(x):
    for stored in STORED:
        x = torch.sin(x) @ stored
    return x


def watched(network, x, copies=False):
    """(the output of a network within `Differentiable` and `WatchedConstants`, the latter)."""
    constants = WatchedConstants(copies)
    with Differentiable(), constants:
        return network(x), constants


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_an_overwritten_weight_is_noticed(dtype):
    x = draw(1, 4).to(dtype).requires_grad_() * 1
    _, constants = watched(Streamed(dtype), x)
    assert constants.overwritten()


def test_weights_that_stay_are_not_called_overwritten():
    _, constants = watched(two_layers, draw(1, 4).requires_grad_() * 1)
    assert not constants.overwritten()


def test_what_meets_no_differentiated_value_is_not_watched():
    _, constants = watched(Streamed(), draw(1, 4))
    assert not constants.overwritten()


def test_complex_weights_are_watched_too():
    weight = torch.ones(4, dtype=torch.complex128)

    def network(x):
        return x * weight

    _, constants = watched(network, draw(1, 4).requires_grad_() * 1)
    assert not constants.overwritten()
    weight[0] = 2
    assert constants.overwritten()


def test_products_are_wrong_without_copies_and_right_with_them():
    def computed(copies):
        return Jacobian(lambda x: watched(Streamed(), x, copies)[0], draw(4))

    v, exact = draw(2, 4, seed=3), Jacobian(two_layers, draw(4))
    torch.testing.assert_close(computed(True).jvp(v), exact.jvp(v))
    torch.testing.assert_close(computed(True).vjp(v), exact.vjp(v))
    assert (computed(False).jvp(v) - exact.jvp(v)).norm() > 0.1 * exact.jvp(v).norm()


def test_the_target_of_an_in_place_function_is_no_copy():
    buffer = torch.zeros(1, 4, dtype=torch.float64)

    def network(x):
        buffer.copy_(x)
        return 2 * buffer

    output, _ = watched(network, draw(1, 4).requires_grad_() * 1, copies=True)
    assert output.requires_grad and torch.equal(buffer.detach(), draw(1, 4))
