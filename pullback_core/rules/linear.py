"""Linear layers and convolutions of constant weights.

The derivative is the layer itself without its bias. torch's own derivative of a convolution keeps the input
for the gradient of the weights, which is not needed here.
"""

from collections.abc import Callable, Sequence

import torch
from torch.nn.functional import conv1d, conv2d, conv3d, linear

from .rule import Kept, Rule, fold_batch


class Linear(Rule):
    """x -> x W^T + b."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self._weight, self._bias = weight, bias

    def supports(self, x: torch.Tensor) -> bool:
        return self._weight.ndim == 2 and _have_dtype(x.dtype, self._weight, self._bias)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        return linear(x, self._weight, self._bias), ()

    def jvp(self, kept: Kept, tangent: torch.Tensor) -> torch.Tensor:
        return linear(tangent, self._weight)

    def vjp(self, kept: Kept, cotangent: torch.Tensor) -> torch.Tensor:
        return cotangent @ self._weight


class Convolution(Rule):
    """A convolution in any number of dimensions: x (n, channels, *size) -> (n, out_channels, *out_size)."""

    _convolution: Callable[..., torch.Tensor]  # torch's function for this number of dimensions

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None = None,
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
    ) -> None:
        self._weight, self._bias = weight, bias
        self._stride, self._padding, self._dilation, self._groups = stride, padding, dilation, groups
        self._input_shape = torch.Size()

    def supports(self, x: torch.Tensor) -> bool:
        same_ndim = x.ndim == self._weight.ndim
        return (
            same_ndim
            and not isinstance(self._padding, str)
            and _have_dtype(x.dtype, self._weight, self._bias)
        )

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        self._input_shape = x.shape
        return self._convolve(x, self._bias), ()

    def jvp(self, kept: Kept, tangent: torch.Tensor) -> torch.Tensor:
        return fold_batch(self._convolve, self._weight.ndim, tangent)

    def vjp(self, kept: Kept, cotangent: torch.Tensor) -> torch.Tensor:
        return fold_batch(self._transposed, self._weight.ndim, cotangent)

    def _convolve(self, x, bias=None):
        settings = self._stride, self._padding, self._dilation, self._groups
        return self._convolution(x, self._weight, bias, *settings)

    def _transposed(self, cotangent):
        # torch asks for the input, and looks at its shape only.
        x = cotangent.new_empty(1).expand(len(cotangent), *self._input_shape[1:])
        dimensions = self._weight.ndim - 2
        stride, padding, dilation = (
            [size] * dimensions if isinstance(size, int) else list(size)
            for size in (self._stride, self._padding, self._dilation)
        )
        no_padding, of_x_only = [0] * dimensions, [True, False, False]
        settings = stride, padding, dilation, False, no_padding, self._groups, of_x_only
        return torch.ops.aten.convolution_backward(cotangent, x, self._weight, None, *settings)[0]


class Conv1d(Convolution):
    """A convolution of (n, channels, w)."""

    _convolution = staticmethod(conv1d)


class Conv2d(Convolution):
    """A convolution of (n, channels, h, w)."""

    _convolution = staticmethod(conv2d)


class Conv3d(Convolution):
    """A convolution of (n, channels, t, h, w)."""

    _convolution = staticmethod(conv3d)


def _have_dtype(dtype, *weights):
    return all(weight is None or weight.dtype == dtype for weight in weights)
