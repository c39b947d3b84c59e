"""The forms of norms. The table's own cases are in test_table.py."""

import pytest
import torch
from rule_checks import (
    BATCHES,
    draw,
    products_of_torch,
    require_products_of_torch,
    uses_rule,
    within_differentiable,
)
from torch.nn.functional import gelu, group_norm, layer_norm, rms_norm

from pullback_core import Jacobian, adjoint_error
from pullback_core.linalg.check import derivative_errors

SCALE, SHIFT = draw(4, seed=4), draw(4, seed=5)
PICTURE, TOKENS = (4, 6, 5), (7, 8)


def group_norm_without_weights(x):
    return torch.group_norm(x, 2)


def group_norm_of_tokens(x):
    return group_norm(x.mT[:, :4], 2, SCALE, SHIFT, eps=1e-2)


def group_norm_of_vectors(x):
    return group_norm(x.flatten(1)[:, :4], 2, SCALE, SHIFT)


def group_norm_of_channels_last(x):
    return group_norm(x.contiguous(memory_format=torch.channels_last), 2, SCALE, SHIFT)


def layer_norm_without_weights(x):
    return layer_norm(x, (7, 8), eps=1e-2)


def layer_norm_with_a_weight_alone(x):
    return layer_norm(x, [8], weight=draw(8))


def rms_norm_without_weights(x):
    return rms_norm(x, (7, 8), eps=1e-2)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (group_norm_without_weights, PICTURE),
        (group_norm_of_tokens, TOKENS),
        (group_norm_of_vectors, TOKENS),
        (group_norm_of_channels_last, PICTURE),
        (layer_norm_without_weights, TOKENS),
        (layer_norm_with_a_weight_alone, TOKENS),
        (rms_norm_without_weights, TOKENS),
    ],
)
def test_products_are_those_of_torch(layer, shape):
    require_products_of_torch(layer, draw(*shape, seed=6))


@pytest.mark.parametrize("norm", [layer_norm, rms_norm])
def test_a_norm_over_all_dimensions_is_left_to_torch(norm):
    """Its input has no dimension that the batch dimension of the vectors could join."""

    def layer(x):
        return norm(x[0], x.shape[1:])[None]

    network, x = within_differentiable(layer), draw(*TOKENS, seed=6)
    v, u = draw(1, *TOKENS, seed=7), draw(1, *TOKENS, seed=8)
    assert not uses_rule(layer, x[None])
    torch.testing.assert_close(products_of_torch(network, x, v, u), products_of_torch(layer, x, v, u))


def overwrite(x):
    """As transformers do it to save memory: a norm's input is overwritten afterwards."""
    x = 2 * x
    x += gelu(layer_norm(x, x.shape[-1:]))
    x += gelu(rms_norm(x, x.shape[-1:]))
    return x


def overwrite_what_torch_keeps(x):
    """As above, in a form that is left to torch's own norm."""
    x = 2 * x
    x += layer_norm(x, x.shape)
    return x


def turned(x):
    """A group norm of what is not contiguous."""
    return group_norm(x.unflatten(-1, (2, 4)).permute(0, 2, 3, 1), 2) ** 2


@pytest.mark.parametrize("network", [overwrite, overwrite_what_torch_keeps, turned])
def test_derivatives_are_differences_of_the_network(network):
    operator = Jacobian(within_differentiable(network), draw(6, 8))
    v, u = draw(1, 6, 8, seed=1), draw(1, *operator.out_shape, seed=2)
    step = 1e-5
    difference = (network(operator.x + step * v) - network(operator.x - step * v)) / (2 * step)
    torch.testing.assert_close(operator.jvp(v), difference, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close((operator.vjp(u) * v).sum(), (operator.jvp(v) * u).sum())


def test_overwriting_breaks_the_vjp_without_the_rules():
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        adjoint_error(Jacobian(overwrite, draw(6, 8)))


def group_norm_with_weights(x, weight, bias):
    return group_norm(x, 2, weight, bias)


def layer_norm_with_weights(x, weight, bias):
    return layer_norm(x.mT, (4,), weight, bias)


def rms_norm_with_weights(x, weight, bias):
    return rms_norm(x.mT, (4,), weight)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("norm", [group_norm_with_weights, layer_norm_with_weights, rms_norm_with_weights])
def test_norms_of_half_precision_with_weights_of_float32(norm, dtype):
    weight, bias, x = SCALE.float(), SHIFT.float(), draw(4, 6).to(dtype)

    def layer(points):
        return norm(points, weight, bias)

    half, single = (Jacobian(within_differentiable(layer), point) for point in (x, x.float()))
    assert uses_rule(layer, x[None])
    for count in BATCHES:
        v = draw(count, 4, 6, seed=7).to(dtype)
        u = draw(count, *single.out_shape, seed=8).to(dtype)
        for found, exact in (
            (half.jvp(v), single.jvp(v.float())),
            (half.vjp(u), single.vjp(u.float())),
        ):
            assert found.dtype == dtype and (found.float() - exact).norm() < 0.02 * exact.norm()


def test_rms_norm_returns_the_precision_of_torchs_output(monkeypatch):
    """Some versions of torch return the precision of the weight, where that is higher."""
    torchs_own = torch.rms_norm

    def in_precision_of_weight(x, normalized_shape, weight, eps):
        return torchs_own(x.to(weight.dtype), normalized_shape, weight, eps)

    monkeypatch.setattr(torch, "rms_norm", in_precision_of_weight)
    weight = draw(8)

    def layer(x):
        return rms_norm(x, (8,), weight)

    operator = Jacobian(within_differentiable(layer), draw(*TOKENS, dtype=torch.float32))
    exact = Jacobian(within_differentiable(layer), operator.x.double())
    assert operator.value.dtype == torch.float64
    for count in BATCHES:
        v, u = draw(count, *TOKENS, seed=7), draw(count, *TOKENS, seed=8)
        column, row = operator.jvp(v.float()), operator.vjp(u)
        assert column.dtype == torch.float64 and row.dtype == torch.float32
        torch.testing.assert_close(column, exact.jvp(v), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(row.double(), exact.vjp(u), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("network", [overwrite, turned])
def test_the_check_of_derivatives_passes(network):
    operator = Jacobian(within_differentiable(network), draw(6, 8))
    errors = derivative_errors(operator, network, changes=(1e-5,))
    assert errors.adjoint < 1e-12 and errors.difference < 1e-7 and errors.value < 1e-12
