"""Linear layers and convolutions of constant weights.

The derivative is the layer itself without its bias. torch's own derivative of a convolution keeps the input
for the gradient of the weights, which is not needed here.
"""

import torch
from torch.nn.functional import conv1d, conv2d, conv3d, linear

from .rule import Rule


class Linear(Rule):
    """x -> x W^T + b."""

    def __init__(self, weight, bias=None):
        self.weight, self.bias = weight, bias

    def supports(self, x):
        return self.weight.ndim == 2 and _have_dtype(x.dtype, self.weight, self.bias)

    def forward(self, x):
        return linear(x, self.weight, self.bias), ()

    def jvp(self, kept, tangent):
        return linear(tangent, self.weight)

    def vjp(self, kept, cotangent):
        return cotangent @ self.weight


class Convolution(Rule):
    """A convolution in any number of dimensions: x (n, channels, *size) -> (n, out_channels, *out_size)."""

    convolve = None  # torch's function for this number of dimensions

    def __init__(self, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        self.weight, self.bias = weight, bias
        self.stride, self.padding, self.dilation, self.groups = stride, padding, dilation, groups
        self.input_shape = None

    def supports(self, x):
        same_ndim = x.ndim == self.weight.ndim
        return (
            same_ndim and not isinstance(self.padding, str) and _have_dtype(x.dtype, self.weight, self.bias)
        )

    def forward(self, x):
        self.input_shape = x.shape
        return self._convolve(x, self.bias), ()

    def jvp(self, kept, tangent):
        return self._convolve(tangent.flatten(0, 1), None).unflatten(0, tangent.shape[:2])

    def vjp(self, kept, cotangent):
        folded = cotangent.flatten(0, 1)
        # torch asks for the input, and looks at its shape only.
        x = folded.new_empty(1).expand(len(folded), *self.input_shape[1:])
        dimensions = self.weight.ndim - 2
        stride, padding, dilation = (
            [size] * dimensions if isinstance(size, int) else list(size)
            for size in (self.stride, self.padding, self.dilation)
        )
        no_padding, of_x_only = [0] * dimensions, [True, False, False]
        found = torch.ops.aten.convolution_backward(
            folded, x, self.weight, None, stride, padding, dilation, False, no_padding, self.groups, of_x_only
        )
        return found[0].unflatten(0, cotangent.shape[:2])

    def _convolve(self, x, bias):
        return self.convolve(x, self.weight, bias, self.stride, self.padding, self.dilation, self.groups)


class Conv1d(Convolution):
    """A convolution of (n, channels, w)."""

    convolve = staticmethod(conv1d)


class Conv2d(Convolution):
    """A convolution of (n, channels, h, w)."""

    convolve = staticmethod(conv2d)


class Conv3d(Convolution):
    """A convolution of (n, channels, t, h, w)."""

    convolve = staticmethod(conv3d)


def _have_dtype(dtype, *weights):
    return all(weight is None or weight.dtype == dtype for weight in weights)
