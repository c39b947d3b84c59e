"""Activations of single entries.

Their Jacobian is diagonal, so the kernel of torch's backward pass computes both products.
"""

from abc import abstractmethod

import torch
from torch.nn.functional import gelu, silu

from .rule import Rule


class Activation(Rule):
    """What the activations share."""

    @abstractmethod
    def times_slope(self, vectors: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Multiply vectors by the derivative of the activation at x, entry by entry."""

    def jvp(self, kept, tangent):
        return self._diagonal_product(tangent, *kept)

    def vjp(self, kept, cotangent):
        return self._diagonal_product(cotangent, *kept)

    def _diagonal_product(self, vectors, x):
        if len(vectors) == 1:
            return self.times_slope(vectors[0], x)[None]
        return self.times_slope(vectors, x.expand(vectors.shape).contiguous())


class SiLU(Activation):
    """x * sigmoid(x)."""

    def __init__(self, inplace=False):
        self.inplace = inplace

    def supports(self, x):
        return not self.inplace

    def forward(self, x):
        return silu(x), (x,)

    def times_slope(self, vectors, x):
        return torch.ops.aten.silu_backward(vectors, x)


class GELU(Activation):
    """x * Phi(x), with the normal distribution function Phi, or with its approximation by tanh."""

    def __init__(self, approximate="none"):
        self.approximate = approximate

    def forward(self, x):
        return gelu(x, approximate=self.approximate), (x,)

    def times_slope(self, vectors, x):
        return torch.ops.aten.gelu_backward(vectors, x, approximate=self.approximate)
