"""What autograd cannot see or cannot differentiate is refused; what is zero is zero."""

import pytest
import torch
from smooth_maps import bend, draw

from pullback_core import Jacobian, top_singular_triplets

OTHER = draw(4, seed=8).requires_grad_()


class WithoutGradient(torch.autograd.Function):
    """A custom operation whose backward returns nothing."""

    @staticmethod
    def forward(ctx, x):
        return torch.tanh(x)

    @staticmethod
    def backward(ctx, gradient):
        return None


def in_inference_mode(x):
    with torch.inference_mode():
        return bend(x)


def with_steps_in_inference_mode(x):
    with torch.inference_mode():
        h = bend(x)
    return h.clone() * 2


def set_in_data(x):
    h = torch.zeros(1, 4, dtype=x.dtype)
    h.data[:] = bend(x)
    return h


UNSEEN = {
    "no_grad": torch.no_grad()(bend),
    "detach": lambda x: bend(x.detach()),
    "detached result": lambda x: bend(x).detach(),
    "inference mode": in_inference_mode,
    "inference mode within": with_steps_in_inference_mode,
    "data": lambda x: bend(x.data),
    "written into data": set_in_data,
    "numpy": lambda x: torch.from_numpy(bend(x).detach().numpy()),
    "a new tensor": lambda x: torch.tensor(bend(x).tolist(), dtype=x.dtype),
    "constant": lambda x: torch.ones(1, 4, dtype=x.dtype),
    "another parameter": lambda x: bend(x.detach()) * OTHER,
    "a parameter alone": lambda x: OTHER[None],
    "integers": lambda x: bend(x).long(),
    "truth": lambda x: bend(x) > 0,
    "a leaf of its own": lambda x: bend(x.detach().requires_grad_()),
    "a custom operation": lambda x: bend(WithoutGradient.apply(x)),
}


@pytest.mark.parametrize("surrounding", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", UNSEEN)
def test_what_autograd_cannot_see_is_refused(kind, surrounding):
    for use in (
        lambda J: J.jvp(draw(1, 2, 3)),
        lambda J: J.jvp(draw(3, 2, 3)),
        lambda J: J.vjp(draw(3, 4, seed=1)),
        lambda J: J.vjp(draw(1, 4, seed=1)),
        lambda J: top_singular_triplets(J, 2),
    ):
        with surrounding(), pytest.raises(ValueError, match="does not depend on the noisy latent"):
            use(Jacobian(UNSEEN[kind], draw(2, 3)))


@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.relu(x - 1e6),
        lambda x: x * 0,
        torch.round,
        torch.sign,
        lambda x: x.clamp(max=-1e6),
        lambda x: 0 * bend(x),
    ],
    ids=["dead relu", "times zero", "round", "sign", "clamp", "zero"],
)
def test_a_jacobian_that_is_zero_where_autograd_sees_it_stays_zero(f):
    found = top_singular_triplets(Jacobian(f, draw(2, 3)), 2)
    assert found.converged and not found.s.any()


class Frozen(torch.autograd.Function):
    """A custom operation whose backward cannot be differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient.detach()


def test_a_backward_pass_that_cannot_be_differentiated_is_refused():
    operator = Jacobian(lambda x: torch.tanh(Frozen.apply(x)), draw(2, 3))
    assert operator.vjp(draw(1, 2, 3)).any()
    with pytest.raises(ValueError, match="backward pass of the map x -> h cannot be"):
        operator.jvp(draw(1, 2, 3))
