"""Autograd functions of other libraries, which may have no second derivative."""

import pytest
import torch
from tiny_pipelines import (
    SIGMA,
    ddim_scheduler,
    draw,
    everything_about,
    layers_of,
    text_conditioning,
    text_unet,
)

from pullback_core import ddim
from pullback_core.models.diffusers import DiffusersDenoiser


class Packed(torch.autograd.Function):
    """A layer as quantising libraries write it, whose backward pass can be differentiated."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.weight = weight
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        return gradient @ ctx.weight, None, None


class PackedOnce(Packed):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient @ ctx.weight, None, None


class PackedByHand(Packed):
    @staticmethod
    def backward(ctx, gradient):
        return (gradient.detach() @ ctx.weight).detach(), None, None


def with_layers_of(function):
    unet = text_unet().eval()
    for layer in layers_of(unet):
        if isinstance(layer, torch.nn.Linear):
            layer.forward = lambda x, layer=layer: function.apply(x, layer.weight.detach(), layer.bias)
    return unet


def test_functions_of_other_libraries_are_used_where_they_have_a_second_derivative(plain):
    for found, exact in zip(everything_about(with_layers_of(Packed)), plain, strict=True):
        assert ddim.relative_error(found, exact) < 1e-5


@pytest.mark.parametrize("function", [PackedOnce, PackedByHand])
def test_functions_of_other_libraries_without_a_second_derivative_are_refused(function):
    with pytest.raises(
        ValueError, match=f"computes with {function.__name__}.*second derivative.*quantisation"
    ) as refused:
        everything_about(with_layers_of(function))
    assert "\n" not in str(refused.value)


def test_a_foreign_function_after_the_bottleneck_counts_for_the_picture_alone():
    unet = text_unet().eval()
    for layer in unet.up_blocks.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.forward = lambda x, layer=layer: PackedByHand.apply(x, layer.weight.detach(), layer.bias)
    x = draw(1, 4, 8, 8)

    def encode(feature):
        denoiser = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning(), feature=feature)
        return denoiser.encode(x.clone().requires_grad_(), SIGMA)

    assert encode("middle").requires_grad
    with pytest.raises(ValueError, match="computes with PackedByHand"):
        encode("picture")
