"""Layers, norms and activations of constant weights, with derivatives of fewer and faster operations than torch's own.

The derivative of a linear layer or a convolution is the layer without its bias; torch keeps the input of every convolution besides, for
weights that nobody trains here. The derivatives of activations are symmetric, as are those of norms but for their weights, so that
one kernel, of torch's backward pass, serves both ways; torch's second derivatives take many operations, and as many copies of
the activations.
"""

from functools import partial

import torch
from torch.nn.functional import conv1d, conv2d, conv3d, gelu, group_norm, layer_norm, linear, rms_norm, silu

from .rule import Derivative, attach


def differentiable_layer(layer, input, *args, **kwargs):
    """layer(input, ...), which autograd can differentiate in the input, both ways, also when the input is overwritten afterwards.

    layer: one of `LAYERS`. With weights that are no plain constants it is torch's own.
    """
    constants = [part for part in (*args, *kwargs.values()) if isinstance(part, torch.Tensor)]
    plain = all(
        type(part) in (torch.Tensor, torch.nn.Parameter) and not part.requires_grad for part in constants
    )
    if plain and (layer in NORMS or all(part.dtype == input.dtype for part in constants)):
        with torch.no_grad():
            known = LAYERS[layer](layer, input, *args, **kwargs)
        if (
            known is not None and known[0].dtype == input.dtype
        ):  # norms of half precision may have weights of float32
            output, derivative, *kept = known
            return attach(output, [input], derivative, *kept)
    return layer(input.clone() if layer in NORMS else input, *args, **kwargs)


# Each computes one kind of layer: its output, its `Derivative` and what that needs; or None for a form that is left to torch.


def _linear(layer, input, weight, bias=None):
    derivative = Derivative(
        lambda changes: layer(changes[0], weight), lambda gradient, needed: [gradient @ weight]
    )
    return layer(input, weight, bias), derivative


def _convolution(layer, input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    if isinstance(padding, str) or input.ndim != weight.ndim:
        return None
    shape, ones, zeros = input.shape, [1] * (weight.ndim - 2), [0] * (weight.ndim - 2)
    settings = [
        [size * one for one in ones] if isinstance(size, int) else list(size)
        for size in (stride, padding, dilation)
    ]

    def tangent(change):
        return layer(change, weight, None, stride, padding, dilation, groups)

    def adjoint(gradient):
        like = gradient.new_empty(1).expand(
            len(gradient), *shape[1:]
        )  # of the input, torch needs the shape alone
        outputs = [True, False, False]
        return torch.ops.aten.convolution_backward(
            gradient, like, weight, None, *settings, False, zeros, groups, outputs
        )[0]

    return layer(input, weight, bias, stride, padding, dilation, groups), Derivative(
        lambda changes: _folded(tangent, len(shape), changes[0]),
        lambda gradient, needed: [_folded(adjoint, len(shape), gradient)],
    )


def _group_norm(layer, input, num_groups, weight=None, bias=None, eps=1e-5, *_):
    if input.device.type not in ("cpu", "cuda"):
        return None

    def sizes(x):
        return *x.shape[:2], x[0, 0].numel(), num_groups

    def symmetric(vectors, x, mean, rstd):
        outputs, dtype = [True, False, False], vectors.dtype
        vectors, x = _as_precise_as(weight, vectors.contiguous(), x)
        return torch.ops.aten.native_group_norm_backward(vectors, x, mean, rstd, None, *sizes(x), outputs)[
            0
        ].to(dtype)

    x = input.clone(memory_format=torch.contiguous_format)
    output, *statistics = torch.native_group_norm(x, weight, bias, *sizes(x), eps)
    scale = weight if weight is None else weight.view(-1, *[1] * (x.ndim - 2))
    return output, _scaled(symmetric, x.ndim, scale), x, *statistics


def _layer_norm(layer, input, normalized_shape, weight=None, bias=None, eps=1e-5, *_):
    def symmetric(vectors, x, mean, rstd):
        outputs, dtype = [True, False, False], vectors.dtype
        vectors, x = _as_precise_as(weight, vectors.contiguous(), x)
        return torch.ops.aten.native_layer_norm_backward(
            vectors, x, normalized_shape, mean, rstd, None, None, outputs
        )[0].to(dtype)

    x = input.clone(memory_format=torch.contiguous_format)
    output, *statistics = torch.native_layer_norm(x, normalized_shape, weight, bias, eps)
    return output, _scaled(symmetric, x.ndim, weight), x, *statistics


def _as_precise_as(weight, *tensors):
    """Tensors in the precision of a norm's weight, in which torch keeps the norm's statistics."""
    return tensors if weight is None else [tensor.to(weight.dtype) for tensor in tensors]


def _rms_norm(layer, input, normalized_shape, weight=None, eps=None):
    axes = tuple(range(-len(normalized_shape), 0))

    def symmetric(vectors, x, rstd):
        normed, vectors = x.to(rstd.dtype) * rstd, vectors.to(rstd.dtype)
        return (rstd * (vectors - normed * (normed * vectors).mean(axes, keepdim=True))).to(x.dtype)

    x = input.clone()
    precise = x.to(torch.promote_types(x.dtype, torch.float32))
    rstd = (
        precise.square().mean(axes, keepdim=True) + (torch.finfo(x.dtype).eps if eps is None else eps)
    ).rsqrt()
    return layer(x, normalized_shape, weight, eps), _scaled(symmetric, x.ndim, weight), x, rstd


def _silu(layer, input, inplace=False):
    return None if inplace else (layer(input), _scaled(torch.ops.aten.silu_backward, input.ndim), input)


def _gelu(layer, input, approximate="none"):
    symmetric = partial(torch.ops.aten.gelu_backward, approximate=approximate)
    return layer(input, approximate=approximate), _scaled(symmetric, input.ndim), input


def _scaled(symmetric, ndim, weight=None):
    """The `Derivative` weight * symmetric(., *kept)."""

    def scaled(vectors):
        return vectors if weight is None else (vectors * weight).to(vectors.dtype)

    return Derivative(
        lambda changes, *kept: scaled(_folded(symmetric, ndim, changes[0], *kept)),
        lambda gradient, needed, *kept: [_folded(symmetric, ndim, scaled(gradient), *kept)],
    )


def _folded(function, ndim, vectors, *kept):
    """function(vectors, *kept) of tensors of ndim dimensions, where the vectors may have one more in front."""
    if vectors.ndim == ndim:
        return function(vectors, *kept)
    kept = (part.expand(len(vectors), *part.shape).flatten(0, 1).contiguous() for part in kept)
    return function(vectors.flatten(0, 1), *kept).unflatten(0, vectors.shape[:2])


NORMS = {
    group_norm: _group_norm,
    torch.group_norm: _group_norm,
    layer_norm: _layer_norm,
    torch.layer_norm: _layer_norm,
    rms_norm: _rms_norm,
    torch.rms_norm: _rms_norm,
}
LAYERS = {
    linear: _linear,
    conv1d: _convolution,
    conv2d: _convolution,
    conv3d: _convolution,
    silu: _silu,
    gelu: _gelu,
    **NORMS,
}
