"""What `Differentiable` makes of a network: which functions go by rules, and which tensors are constants."""

import pytest
import torch
from rule_checks import draw, uses_rule, within_differentiable
from torch.nn import functional

from pullback_core import Differentiable, Jacobian
from pullback_core.linalg.check import derivative_errors
from pullback_core.rules.mode import as_autograd_inputs, is_in_place


def block(x):
    """A block of a transformer."""
    q, k, v = (x.unflatten(-1, (2, 4)).transpose(1, 2) * scale for scale in (1.0, 0.5, 2.0))
    x = x + functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    x += functional.gelu(functional.linear(functional.layer_norm(x, x.shape[-1:]), draw(8, 8, seed=1)))
    return x


def test_the_derivatives_of_a_block_are_right():
    errors = derivative_errors(Jacobian(within_differentiable(block), draw(6, 8)), block, changes=(1e-5,))
    assert errors.adjoint < 1e-12 and errors.difference < 1e-7 and errors.value < 1e-12


def test_without_autograd_torchs_own_functions_run():
    x = draw(1, 6, 8).requires_grad_()
    with torch.no_grad(), Differentiable():
        found = block(x)
    with torch.no_grad():
        assert torch.equal(found, block(x))
    assert uses_rule(block, x.detach())


def test_weights_in_training_and_of_inference_mode_are_constants():
    with torch.inference_mode():
        weight = draw(8, 8, seed=1)
    trained, x, v = draw(8, 8, seed=2).requires_grad_(), draw(7, 8), draw(2, 7, 8, seed=3)

    def network(x):
        return torch.sin(x @ trained) * weight[:7] + functional.linear(x, weight)

    with torch.inference_mode():
        expected = torch.cos(x @ trained) * (v @ trained) * weight[:7] + v @ weight.T
    torch.testing.assert_close(Jacobian(within_differentiable(network), x).jvp(v), expected)
    assert trained.grad is None


def test_a_parameter_of_inference_mode_is_a_constant_of_every_operation():
    """As a host loads its weights. PReLU is an operation of torch's own, which keeps its weight."""
    with torch.inference_mode():
        weight = torch.nn.Parameter(draw(2, seed=1))
    x, v = draw(2, 4, 6), draw(3, 2, 4, 6, seed=3)

    def network(x, weight=weight):
        return functional.prelu(x, weight)

    def with_a_copy(x):
        return network(x, weight.detach().clone())

    found, copied = (Jacobian(within_differentiable(f), x).jvp(v) for f in (network, with_a_copy))
    torch.testing.assert_close(found, copied)


def test_what_was_made_in_inference_mode_takes_in_no_derivative():
    with torch.inference_mode():
        buffer = torch.zeros(1, 3, dtype=torch.float64)

    def network(x):
        buffer.copy_(x)
        return 2 * buffer

    with pytest.raises(RuntimeError, match=r"[Ii]nference"):
        Jacobian(within_differentiable(network), draw(3)).jvp(draw(1, 3))


def test_an_assignment_to_data_reaches_the_weight_itself():
    weight = torch.nn.Parameter(draw(3))
    with Differentiable():
        weight.data = draw(3, seed=1)
    assert torch.equal(weight.detach(), draw(3, seed=1))


def test_arguments_in_lists_become_constants_too():
    with torch.inference_mode():
        made_there = draw(3)
    trained, tracked = draw(3, seed=1).requires_grad_(), draw(3, seed=2).requires_grad_() * 2
    (parts, name), options = as_autograd_inputs(
        torch.cat, ([made_there, trained, tracked], "x"), {"dim": trained}
    )
    assert not parts[0].is_inference() and parts[0].data_ptr() == made_there.data_ptr()
    assert not parts[1].requires_grad and parts[1].data_ptr() == trained.data_ptr()
    assert parts[2] is tracked and name == "x" and not options["dim"].requires_grad


def test_the_target_of_an_in_place_function_stays_as_it_is():
    target, value = draw(3).requires_grad_(), draw(3, seed=1).requires_grad_()
    args, _ = as_autograd_inputs(torch.Tensor.add_, (target, value), {})
    assert args[0] is target and not args[1].requires_grad


@pytest.mark.parametrize(
    "function, expected",
    [
        (torch.Tensor.add_, True),
        (torch.Tensor.__setitem__, True),
        (torch.Tensor.data.__set__, True),
        (torch.Tensor.add, False),
        (torch.Tensor.__add__, False),
        (torch.Tensor.__getitem__, False),
        (functional.linear, False),
    ],
)
def test_in_place_functions_are_known_by_their_names(function, expected):
    assert is_in_place(function) == expected


def modulate_in_place(x):
    """As PixelDiT modulates by what depends on the picture."""
    y, scale = torch.sin(x), torch.tanh(x)
    return y.addcmul_(y, scale)


def test_a_factor_of_an_in_place_product_may_be_its_target():
    x, u = draw(3, 4), draw(1, 3, 4, seed=1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        Jacobian(modulate_in_place, x).vjp(u)
    errors = derivative_errors(
        Jacobian(within_differentiable(modulate_in_place), x), modulate_in_place, changes=(1e-5,)
    )
    assert errors.adjoint < 1e-12 and errors.difference < 1e-7 and errors.value < 1e-12


def overwrite_a_slice(x):
    """Autograd keeps one slice for the derivative of the sine, and the other one is overwritten."""
    x = 2 * x
    first, second = x[:, :2], x[:, 2:]
    sine = torch.sin(second)
    first += 1
    return torch.cat([sine, first], 1)


def test_copies_of_slices_may_be_overwritten():
    def with_copies(x):
        with Differentiable(copy_slices=True):
            return overwrite_a_slice(x)

    def out_of_place(x):
        return torch.cat([torch.sin(2 * x[:, 2:]), 2 * x[:, :2] + 1], 1)

    x, v, u = draw(4), draw(3, 4, seed=1), draw(3, 4, seed=2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        Jacobian(within_differentiable(overwrite_a_slice), x).vjp(u)
    found, expected = Jacobian(with_copies, x), Jacobian(out_of_place, x)
    torch.testing.assert_close(found.jvp(v), expected.jvp(v))
    torch.testing.assert_close(found.vjp(u), expected.vjp(u))
