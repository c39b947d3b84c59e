"""The base class of rules: toy rules, and what autograd makes of them."""

import gc
import weakref
from functools import partial

import pytest
import torch
from rule_checks import draw
from torch.autograd.graph import saved_tensors_hooks

from pullback_core import Jacobian
from pullback_core.linalg.autograd_graph import autograd_nodes, foreign_functions
from pullback_core.rules.rule import AUTOGRAD_FUNCTIONS, Rule, without_inference_mode


class Cube(Rule):
    """scale * x^3."""

    def __init__(self, scale=1.0):
        self.scale = scale

    def supports(self, x):
        return x.ndim > 1

    def forward(self, x):
        return self.scale * x**3, (x,)

    def jvp(self, kept, tangent):
        assert not torch.is_grad_enabled() and tangent.ndim - kept[0].ndim in (0, 1)
        return 3 * self.scale * kept[0] ** 2 * tangent

    def vjp(self, kept, cotangent):
        return self.jvp(kept, cotangent)


class Product(Rule):
    """x * y. Remembers which tangents it was given."""

    def __init__(self):
        self.given = []

    def forward(self, x, y):
        return x * y, (x, y)

    def jvp(self, kept, dx, dy):
        self.given.append((dx is not None, dy is not None))
        x, y = kept
        return sum(
            part
            for part in (None if dx is None else dx * y, None if dy is None else x * dy)
            if part is not None
        )

    def vjp(self, kept, cotangent):
        x, y = kept
        return cotangent * y if self.needed[0] else None, cotangent * x if self.needed[1] else None


def require_products_of_plain(network, plain, shape=(2, 3)):
    """Compare both products of two maps in float64, of one vector and of several."""
    ours, theirs = (Jacobian(f, draw(*shape)) for f in (network, plain))
    torch.testing.assert_close(ours.value, theirs.value)
    for count in (1, 4):
        v, u = draw(count, *shape, seed=1), draw(count, *ours.out_shape, seed=2)
        torch.testing.assert_close(ours.jvp(v), theirs.jvp(v))
        torch.testing.assert_close(ours.vjp(u), theirs.vjp(u))


def test_a_rule_of_one_input():
    def network(x):
        return torch.sin(Cube(0.5).apply(torch.tanh(x)))

    def plain(x):
        return torch.sin(0.5 * torch.tanh(x) ** 3)

    require_products_of_plain(network, plain)


CONSTANT = draw(1, 2, 3, seed=5)


@pytest.mark.parametrize("constant", ["none", "first", "second"])
def test_a_rule_of_two_inputs_is_told_which_are_constant(constant):
    rules = []

    def inputs(x):
        return (CONSTANT if constant == "first" else torch.sin(x)), (
            CONSTANT if constant == "second" else x**2
        )

    def network(x):
        rules.append(Product())
        return rules[-1].apply(*inputs(x))

    def plain(x):
        first, second = inputs(x)
        return first * second

    require_products_of_plain(network, plain)
    needed = (constant != "first", constant != "second")
    assert rules[0].needed == needed and set(rules[0].given) == {needed}


def test_one_tangent_may_be_the_same_in_the_whole_batch():
    x, y, u = (draw(2, 3, seed=seed).requires_grad_() for seed in range(3))
    rows = torch.autograd.grad(Product().apply(x, y), (x, y), u, create_graph=True)
    tangents, single = draw(4, 2, 3, seed=7), draw(2, 3, seed=8)

    def column(tangent):
        return torch.autograd.grad(rows, u, (tangent, single), retain_graph=True)[0]

    torch.testing.assert_close(torch.func.vmap(column)(tangents), tangents * y + x * single)


def test_a_batch_of_rows_can_be_differentiated_again():
    x, u = draw(2, 3).requires_grad_(), draw(4, 2, 3, seed=1).requires_grad_()
    output = Cube().apply(x)

    def row(cotangent):
        return torch.autograd.grad(output, x, cotangent, create_graph=True)[0]

    rows, v = torch.func.vmap(row)(u), draw(4, 2, 3, seed=2)
    (found,) = torch.autograd.grad(rows, u, v)
    torch.testing.assert_close(found, 3 * x.detach() ** 2 * v)


def test_second_derivatives_are_refused():
    x = draw(2, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(Cube().apply(x).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(gradient.sum(), x)


class Turned(Rule):
    """The transpose of the last two dimensions, a view of the input."""

    def forward(self, x):
        return x.mT, ()

    def jvp(self, kept, tangent):
        return tangent.mT

    def vjp(self, kept, cotangent):
        return cotangent.mT


def test_a_network_may_overwrite_an_output_that_is_a_view():
    def network(x):
        y = Turned().apply(torch.sin(x))
        y *= 2
        return y

    def plain(x):
        return 2 * torch.sin(x).mT

    require_products_of_plain(network, plain)


def test_an_activation_that_is_overwritten_is_noticed():
    def network(x):
        x = torch.sin(x)
        y = Cube().apply(x)
        x.mul_(2)
        return y

    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        Jacobian(network, draw(2, 3)).vjp(draw(1, 2, 3))


def test_kept_activations_can_be_offloaded():
    kept = []

    def pack(tensor):
        kept.append(tensor)
        return tensor

    x = draw(2, 3).requires_grad_()
    with saved_tensors_hooks(pack, torch.clone):
        output = Cube().apply(x)
    assert len(kept) == 1 and kept[0].data_ptr() == x.data_ptr() and not kept[0].requires_grad
    torch.testing.assert_close(torch.autograd.grad(output.sum(), x)[0], 3 * x.detach() ** 2)


def test_inference_tensors_are_constants():
    with torch.inference_mode():
        constant = draw(2, 3, seed=1)
    x, u = draw(2, 3).requires_grad_(), draw(2, 3, seed=2)
    torch.testing.assert_close(torch.autograd.grad(Product().apply(x, constant), x, u)[0], u * constant)
    normal = without_inference_mode(constant)
    assert not normal.is_inference() and normal.data_ptr() == constant.data_ptr()
    assert without_inference_mode(normal) is normal


def test_activations_are_freed_with_the_output():
    gc.disable()
    try:
        x = draw(2, 3).requires_grad_()
        middle = torch.sin(x)
        output = Cube().apply(middle)
        reference = weakref.ref(middle)
        del middle
        torch.autograd.grad(output.sum(), x, create_graph=True)[0].sum().backward()
        del output
        assert reference() is None
    finally:
        gc.enable()


def test_without_a_derivative_nothing_is_recorded():
    assert not Cube().apply(draw(2, 3)).requires_grad


# `Rule.call`, which computes a torch function by its rule.


def cube(x, scale=1.0):
    return scale * x**3


def by_place(x):
    return Cube.call(cube, x, 0.5)


def by_name(x):
    return Cube.call(cube, x, scale=0.5)


@pytest.mark.parametrize("call", [by_place, by_name])
def test_a_call_hands_its_settings_to_the_rule(call):
    x = draw(2, 3).requires_grad_()
    assert foreign_functions(call(x)) == {"_Forward"}
    require_products_of_plain(call, partial(cube, scale=0.5))


def test_a_call_is_left_to_torch_where_the_rule_does_not_serve():
    x, weight = draw(2, 3).requires_grad_(), draw(3, seed=1)
    assert not foreign_functions(Cube.call(cube, x[0]))  # a form that the rule does not support
    assert not foreign_functions(Cube.call(cube, x, weight.clone().requires_grad_()))
    assert not foreign_functions(Cube.call(cube, x, scale=torch.sin(x)))
    assert foreign_functions(Cube.call(cube, x, weight)) == {"_Forward"}
    torch.testing.assert_close(Cube.call(cube, x, scale=torch.sin(x)), torch.sin(x) * x**3)
    assert not Cube.call(cube, weight[None]).requires_grad


class CopiedCube(Cube):
    copies_input = True

    def supports(self, x):
        return False


def test_the_fallback_copies_the_input_where_the_rule_says_so():
    def overwriting(rule):
        def network(x):
            x = torch.sin(x)
            y = rule.call(cube, x)
            x.mul_(2)
            return y

        return network

    def plain(x):
        return torch.sin(x) ** 3

    u = draw(1, 1, 3)
    found = Jacobian(overwriting(CopiedCube), draw(1, 3)).vjp(u)
    torch.testing.assert_close(found, Jacobian(plain, draw(1, 3)).vjp(u))


def test_the_functions_of_rules_are_not_foreign():
    x, u = draw(2, 3).requires_grad_(), draw(2, 3, seed=1).requires_grad_()
    output = Cube().apply(x)
    (row,) = torch.autograd.grad(output, x, u, create_graph=True)
    kinds = {type(node).__name__ for node in (*autograd_nodes(output), *autograd_nodes(row))}
    assert {"_ForwardBackward", "_VjpBackward"} <= kinds
    assert not foreign_functions(output, AUTOGRAD_FUNCTIONS) | foreign_functions(row, AUTOGRAD_FUNCTIONS)
    assert foreign_functions(output) == {"_Forward"}
