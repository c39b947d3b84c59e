"""Compares the products of a rule with those of torch's own double backward pass."""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from pullback_core import Differentiable, Jacobian
from pullback_core.linalg.autograd_graph import autograd_nodes
from pullback_core.rules.rule import AUTOGRAD_FUNCTIONS

BATCHES = (1, 3)  # one vector goes without vmap


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def between_sines(layer):
    """A map that is curved before and after the layer, so that wrong activations show."""

    def network(x):
        return torch.sin(layer(torch.sin(x)))

    return network


def within_differentiable(network):
    def computed_by_rules(x):
        with Differentiable():
            return network(x)

    return computed_by_rules


def uses_rule(network, x):
    """Whether a rule computes a part of network(x) within `Differentiable`."""
    output = within_differentiable(network)(x.clone().requires_grad_() * 1)
    functions = {getattr(node, "_forward_cls", None) for node in autograd_nodes(output)}
    return bool(functions & set(AUTOGRAD_FUNCTIONS))


def products_of_torch(network, x, v, u):
    """(value, J v, J^T u) by torch alone, one vector at a time: not all of its operations know vmap."""
    with sdpa_kernel(SDPBackend.MATH):  # the other kernels have no second derivative
        operator = Jacobian(network, x)
        columns = torch.cat([operator.jvp(one[None]) for one in v])
        rows = torch.cat([operator.vjp(one[None]) for one in u])
    return operator.value, columns, rows


def require_products_of_torch(layer, x, *, by_rule=True):
    """Compare the value, J v and J^T u of a layer in float64. x: (*shape) of one sample.

    by_rule: whether a rule is expected, or torch's own function.
    """
    network = between_sines(layer)
    assert uses_rule(network, x[None]) == by_rule
    operator = Jacobian(within_differentiable(network), x)
    for count in BATCHES:
        v, u = draw(count, *x.shape, seed=7), draw(count, *operator.out_shape, seed=8)
        value, columns, rows = products_of_torch(network, x, v, u)
        torch.testing.assert_close(operator.value, value)
        torch.testing.assert_close(operator.jvp(v), columns)
        torch.testing.assert_close(operator.vjp(u), rows)


def require_products_in_half_precision(layer, x, dtype=torch.float16, tolerance=5e-3):
    """Compare J v and J^T u of a layer in half precision with those in float64. x: (*shape) in float64."""
    x = x.to(dtype)
    assert uses_rule(layer, x[None])
    operator = Jacobian(within_differentiable(layer), x)
    assert operator.value.dtype == dtype
    for count in BATCHES:
        v, u = draw(count, *x.shape, seed=7).to(dtype), draw(count, *operator.out_shape, seed=8).to(dtype)
        _, columns, rows = products_of_torch(layer, x.double(), v.double(), u.double())
        for found, exact in ((operator.jvp(v), columns), (operator.vjp(u), rows)):
            assert found.dtype == dtype
            assert (found.double() - exact).norm() < tolerance * exact.norm()
