"""Operators of other libraries: those with a known plain operation are replaced, others are checked."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from patched_models import is_exact, with_patch, wrong
from tiny_models import SHAPE, tiny_model


@pytest.fixture(scope="module")
def kernel():
    """An operator as packs of kernels define them: with no derivative, or with one for training."""
    library = torch.library.Library("planted", "FRAGMENT")

    def define(name):
        operator = torch.library.custom_op(
            f"planted::{name}", lambda x: torch.tanh(x), mutates_args=(), schema="(Tensor x) -> Tensor"
        )
        operator.register_fake(torch.empty_like)
        operator.register_vmap(lambda info, dims, x: (getattr(torch.ops.planted, name)(x), dims[0]))
        return operator

    define("bare")
    define("reverse").register_autograd(
        lambda ctx, gradient: gradient * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
    )
    yield SimpleNamespace(
        bare=lambda h: h + torch.ops.planted.bare(h), reverse=lambda h: h + torch.ops.planted.reverse(h)
    )
    library._destroy()


def test_an_operator_without_a_derivative_is_refused(check, kernel):
    with wrong("derivatives of this model are wrong here|cannot be differentiated here"):
        check(with_patch(kernel.bare))


def test_an_operator_with_a_reverse_mode_derivative_serves(check, kernel):
    checked = check(with_patch(kernel.reverse))
    assert is_exact(checked)


def test_an_operator_is_replaced_where_its_library_keeps_plain_operations(check, kernel, monkeypatch):
    plain = SimpleNamespace(bare=torch.tanh)
    monkeypatch.setitem(sys.modules, "planted.backends.eager", plain)
    checked = check(with_patch(kernel.bare))
    assert is_exact(checked)


class Scaled(torch.autograd.Function):
    """x * scale, which keeps both for its backward pass, as fused kernels do."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x, scale)
        return x * scale

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[1], None


@pytest.fixture(scope="module")
def scaling():
    """Operators of a weight, as newer hosts call them: the weight is an inference tensor."""
    library = torch.library.Library("planted_scaling", "FRAGMENT")
    for name, schema in {
        "scale": "(Tensor x, Tensor weight) -> Tensor",
        "scale_parts": "(Tensor[] parts, *, Tensor weight) -> Tensor",
        "scale_": "(Tensor(a!) x, Tensor weight) -> ()",
    }.items():
        library.define(name + schema)

    def product(x, weight):  # by another library than torch, so that its operations have no derivatives
        return torch.from_numpy(x.detach().numpy() * weight.detach().numpy())

    library.impl("scale", product, "CPU")
    library.impl(
        "scale_parts", lambda parts, weight: product(sum(part.detach() for part in parts), weight), "CPU"
    )
    library.impl("scale_", lambda x, weight: np.copyto(x.detach().numpy(), product(x, weight).numpy()), "CPU")
    with torch.inference_mode():
        weight = torch.linspace(0.5, 1.5, SHAPE["model_channels"]).view(1, -1, 1, 1)
    operators = torch.ops.planted_scaling

    def in_place(h):
        h = 1 * h
        operators.scale_(h, weight)
        return h

    yield {
        "plain": lambda h: h + operators.scale(torch.tanh(h), weight),
        "overload": lambda h: operators.scale.default(torch.tanh(h), weight=weight),
        "nested": lambda h: operators.scale_parts([torch.tanh(h), h], weight=weight),
        "in place": in_place,
    }
    library._destroy()


@pytest.mark.parametrize(
    "scale",
    [lambda x, weight: Scaled.apply(x, weight), torch.mul],
    ids=["kept by a function", "kept by torch"],
)
@pytest.mark.parametrize("name", ["plain", "overload", "nested", "in place"])
def test_no_weight_of_inference_mode_reaches_what_autograd_keeps(check, scaling, monkeypatch, name, scale):
    with torch.inference_mode():
        table = torch.ones(1)  # as one that a library makes once

    def scaled(x, weight):
        return scale(x, weight) * table

    plain = SimpleNamespace(scale=scaled, scale_parts=lambda parts, weight: scaled(sum(parts), weight))
    monkeypatch.setitem(sys.modules, "planted_scaling.backends.eager", plain)
    checked = check(with_patch(scaling[name]))
    assert is_exact(checked)


def test_an_operator_that_loses_a_small_share_is_refused(check):
    """Its part can be smaller than the difference error of a curved map."""
    library = torch.library.Library("planted_share", "FRAGMENT")
    operator = torch.library.custom_op(
        "planted_share::small", lambda x: 0.05 * x, mutates_args=(), schema="(Tensor x) -> Tensor"
    )
    operator.register_autograd(lambda ctx, gradient: torch.zeros_like(gradient))
    try:
        with wrong():
            check(with_patch(lambda h: h + torch.ops.planted_share.small(h)))
    finally:
        library._destroy()


def test_an_operator_of_constants_is_not_under_suspicion(check, kernel):
    """Such operators unpack weights. No differentiated value goes through them."""
    weight = torch.ones(1)
    found = check(
        with_patch(lambda h: h * torch.ops.planted.bare(weight)),
        then=lambda checked, noisy: checked.denoiser.foreign_operators,
    )
    assert not found


def test_what_is_lost_in_half_precision_alone_is_refused(check, kernel):
    """The operator runs in half precision only; float32 uses another one."""
    model = tiny_model(dtype=torch.bfloat16)
    with wrong("derivatives of this model are wrong here|cannot be differentiated here"):
        check(with_patch(lambda h: kernel.bare(h) if h.dtype == torch.bfloat16 else h + torch.tanh(h), model))
