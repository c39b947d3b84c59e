"""Group norm, layer norm and RMS norm of constant weights.

A norm is y = w * N(x) + b. The Jacobian of N is symmetric, so torch's fused kernel for the backward pass of N
computes both J v = w * N' v and J^T u = N' (w * u). torch's own second derivatives take many operations, and
as many copies of the activations.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch

from .rule import Kept, Rule, fold_batch


class Norm(Rule):
    """What the norms share. Transformers overwrite the input of a norm, so every norm keeps a copy of it."""

    copies_input = True
    _scale: torch.Tensor | None = None  # the weight, in a shape that broadcasts with x

    @abstractmethod
    def normalizer_product(
        self, vectors: torch.Tensor, x: torch.Tensor, *statistics: torch.Tensor
    ) -> torch.Tensor:
        """Multiply N', the symmetric Jacobian of the norm without weights, by vectors.

        Args:
            vectors: (k, *x.shape).
            x: The input of the norm.
            *statistics: What `forward` kept of x, such as its mean and deviation.

        Returns:
            The products, of the shape of the vectors.
        """

    def jvp(self, kept: Kept, tangent: torch.Tensor) -> torch.Tensor:
        return self._weighted(fold_batch(self.normalizer_product, kept[0].ndim, tangent, *kept))

    def vjp(self, kept: Kept, cotangent: torch.Tensor) -> torch.Tensor:
        return fold_batch(self.normalizer_product, kept[0].ndim, self._weighted(cotangent), *kept)

    def _weighted(self, vectors):
        return vectors if self._scale is None else (vectors * self._scale).to(vectors.dtype)


class GroupNorm(Norm):
    """Group norm of x (n, channels, *size), with a weight for each channel."""

    def __init__(
        self,
        num_groups: int,
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        eps: float = 1e-5,
        cudnn_enabled: bool = True,
    ) -> None:
        self._num_groups, self._weight, self._bias, self._eps = num_groups, weight, bias, eps

    def supports(self, x: torch.Tensor) -> bool:
        return x.device.type in ("cpu", "cuda")

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        x = x.clone(memory_format=torch.contiguous_format)
        output, mean, rstd = torch.native_group_norm(x, self._weight, self._bias, *self._sizes(x), self._eps)
        if self._weight is not None:
            self._scale = self._weight.view(-1, *[1] * (x.ndim - 2))
        return output, (x, mean, rstd)

    def normalizer_product(
        self, vectors: torch.Tensor, x: torch.Tensor, *statistics: torch.Tensor
    ) -> torch.Tensor:
        dtype = vectors.dtype
        vectors, x = _in_precision_of(self._weight, vectors.contiguous(), x)
        of_x_only = [True, False, False]
        found = torch.ops.aten.native_group_norm_backward(
            vectors, x, *statistics, None, *self._sizes(x), of_x_only
        )
        return found[0].to(dtype)

    def _sizes(self, x):
        return len(x), x.shape[1], math.prod(x.shape[2:]), self._num_groups


class LayerNorm(Norm):
    """Layer norm over the last dimensions of x, those of normalized_shape."""

    def __init__(
        self,
        normalized_shape: Sequence[int],
        weight: torch.Tensor | None = None,
        bias: torch.Tensor | None = None,
        eps: float = 1e-5,
        cudnn_enable: bool = True,
    ) -> None:
        self._normalized_shape, self._scale, self._bias, self._eps = normalized_shape, weight, bias, eps

    def supports(self, x: torch.Tensor) -> bool:
        return x.ndim > len(self._normalized_shape)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        x = x.clone(memory_format=torch.contiguous_format)
        output, mean, rstd = torch.native_layer_norm(
            x, self._normalized_shape, self._scale, self._bias, self._eps
        )
        return output, (x, mean, rstd)

    def normalizer_product(
        self, vectors: torch.Tensor, x: torch.Tensor, *statistics: torch.Tensor
    ) -> torch.Tensor:
        dtype = vectors.dtype
        vectors, x = _in_precision_of(self._scale, vectors.contiguous(), x)
        of_x_only = [True, False, False]
        found = torch.ops.aten.native_layer_norm_backward(
            vectors, x, self._normalized_shape, *statistics, None, None, of_x_only
        )
        return found[0].to(dtype)


class RMSNorm(Norm):
    """RMS norm over the last dimensions of x, those of normalized_shape: N(x) = x / sqrt(mean(x^2) + eps)."""

    def __init__(
        self,
        normalized_shape: Sequence[int],
        weight: torch.Tensor | None = None,
        eps: float | None = None,
    ) -> None:
        self._normalized_shape, self._scale, self._eps = normalized_shape, weight, eps
        self._output_dtype: torch.dtype | None = None

    def supports(self, x: torch.Tensor) -> bool:
        return x.ndim > len(self._normalized_shape)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        x = x.clone()
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        eps = torch.finfo(x.dtype).eps if self._eps is None else self._eps
        rstd = (self._mean(precise.square()) + eps).rsqrt()
        output = torch.rms_norm(x, self._normalized_shape, self._scale, self._eps)
        self._output_dtype = output.dtype  # some versions of torch return the precision of the weight
        return output, (x, rstd)

    def jvp(self, kept: Kept, tangent: torch.Tensor) -> torch.Tensor:
        result = super().jvp(kept, tangent)
        return result.to(self._output_dtype)

    def normalizer_product(
        self, vectors: torch.Tensor, x: torch.Tensor, *statistics: torch.Tensor
    ) -> torch.Tensor:
        (rstd,) = statistics
        vectors = vectors.to(rstd.dtype)
        normed = x.to(rstd.dtype) * rstd
        return (rstd * (vectors - normed * self._mean(normed * vectors))).to(x.dtype)

    def _mean(self, values):
        dimensions = tuple(range(-len(self._normalized_shape), 0))
        return values.mean(dimensions, keepdim=True)


def _in_precision_of(weight, *tensors):
    """Tensors in the precision of a norm's weight. torch keeps mean and rstd in that precision too."""
    return tensors if weight is None else [tensor.to(weight.dtype) for tensor in tensors]
