"""Group norm, layer norm and RMS norm of constant weights.

A norm is y = w * N(x) + b. The Jacobian of N is symmetric, so torch's fused kernel for the backward pass of N
computes both J v = w * N' v and J^T u = N' (w * u). torch's own second derivatives take many operations, and
as many copies of the activations.
"""

import math
from abc import abstractmethod

import torch

from .rule import Rule


class Norm(Rule):
    """What the norms share. Transformers overwrite the input of a norm, so every norm keeps a copy of it."""

    copies_input = True
    weight = None

    @abstractmethod
    def normalizer_product(self, vectors: torch.Tensor, *kept: torch.Tensor) -> torch.Tensor:
        """Multiply N', the symmetric Jacobian of the norm without weights, by vectors of the shape of x."""

    def jvp(self, kept, tangent):
        return self._weighted(_folded(self.normalizer_product, tangent, *kept))

    def vjp(self, kept, cotangent):
        return _folded(self.normalizer_product, self._weighted(cotangent), *kept)

    def _weighted(self, vectors):
        if self.weight is None:
            return vectors
        return (vectors * self._weight_for(vectors)).to(vectors.dtype)

    def _weight_for(self, vectors):
        return self.weight


class GroupNorm(Norm):
    """Group norm of x (n, channels, *size), with a weight for each channel."""

    def __init__(self, num_groups, weight=None, bias=None, eps=1e-5, cudnn_enabled=True):
        self.num_groups, self.weight, self.bias, self.eps = num_groups, weight, bias, eps

    def supports(self, x):
        return x.device.type in ("cpu", "cuda")

    def forward(self, x):
        x = x.clone(memory_format=torch.contiguous_format)
        output, mean, rstd = torch.native_group_norm(x, self.weight, self.bias, *self._sizes(x), self.eps)
        return output, (x, mean, rstd)

    def normalizer_product(self, vectors, x, mean, rstd):
        dtype = vectors.dtype
        vectors, x = _in_precision_of(self.weight, vectors.contiguous(), x)
        of_x_only = [True, False, False]
        found = torch.ops.aten.native_group_norm_backward(
            vectors, x, mean, rstd, None, *self._sizes(x), of_x_only
        )
        return found[0].to(dtype)

    def _sizes(self, x):
        return len(x), x.shape[1], math.prod(x.shape[2:]), self.num_groups

    def _weight_for(self, vectors):
        return self.weight.view(-1, *[1] * (vectors.ndim - 3))  # vectors: (b, n, channels, *size)


class LayerNorm(Norm):
    """Layer norm over the last dimensions of x, those of normalized_shape."""

    def __init__(self, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
        self.normalized_shape, self.weight, self.bias, self.eps = normalized_shape, weight, bias, eps

    def supports(self, x):
        return x.ndim > len(self.normalized_shape)

    def forward(self, x):
        x = x.clone(memory_format=torch.contiguous_format)
        output, mean, rstd = torch.native_layer_norm(
            x, self.normalized_shape, self.weight, self.bias, self.eps
        )
        return output, (x, mean, rstd)

    def normalizer_product(self, vectors, x, mean, rstd):
        dtype = vectors.dtype
        vectors, x = _in_precision_of(self.weight, vectors.contiguous(), x)
        of_x_only = [True, False, False]
        found = torch.ops.aten.native_layer_norm_backward(
            vectors, x, self.normalized_shape, mean, rstd, None, None, of_x_only
        )
        return found[0].to(dtype)


class RMSNorm(Norm):
    """RMS norm over the last dimensions of x, those of normalized_shape: N(x) = x / sqrt(mean(x^2) + eps)."""

    def __init__(self, normalized_shape, weight=None, eps=None):
        self.normalized_shape, self.weight, self.eps = normalized_shape, weight, eps
        self.output_dtype = None  # some versions of torch return the precision of the weight

    def supports(self, x):
        return x.ndim > len(self.normalized_shape)

    def forward(self, x):
        x = x.clone()
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        rstd = (self._mean(precise.square()) + eps).rsqrt()
        output = torch.rms_norm(x, self.normalized_shape, self.weight, self.eps)
        self.output_dtype = output.dtype
        return output, (x, rstd)

    def jvp(self, kept, tangent):
        return super().jvp(kept, tangent).to(self.output_dtype)

    def normalizer_product(self, vectors, x, rstd):
        vectors = vectors.to(rstd.dtype)
        normed = x.to(rstd.dtype) * rstd
        return (rstd * (vectors - normed * self._mean(normed * vectors))).to(x.dtype)

    def _mean(self, values):
        dimensions = tuple(range(-len(self.normalized_shape), 0))
        return values.mean(dimensions, keepdim=True)


def _in_precision_of(weight, *tensors):
    """Tensors in the precision of a norm's weight. torch keeps mean and rstd in that precision too."""
    return tensors if weight is None else [tensor.to(weight.dtype) for tensor in tensors]


def _folded(function, vectors, *kept):
    """function(vectors, *kept), where only the vectors have a batch dimension. It joins the next one."""
    if len(vectors) == 1:
        return function(vectors[0], *kept)[None]
    repeated = (part.expand(len(vectors), *part.shape).flatten(0, 1).contiguous() for part in kept)
    return function(vectors.flatten(0, 1), *repeated).unflatten(0, vectors.shape[:2])
