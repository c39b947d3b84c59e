"""Activations of single entries.

Their Jacobian is diagonal, so the kernel of torch's backward pass computes both products.
"""

from abc import abstractmethod

import torch
from torch.nn.functional import gelu, silu

from .rule import Kept, Rule


class Activation(Rule):
    """What the activations share."""

    @abstractmethod
    def times_slope(self, vectors: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Multiply vectors by the derivative of the activation at x, entry by entry."""

    def jvp(self, kept: Kept, tangent: torch.Tensor) -> torch.Tensor:
        return self._diagonal_product(tangent, *kept)

    def vjp(self, kept: Kept, cotangent: torch.Tensor) -> torch.Tensor:
        return self._diagonal_product(cotangent, *kept)

    def _diagonal_product(self, vectors, x):
        if vectors.ndim > x.ndim:
            x = x.expand(vectors.shape).contiguous()
        return self.times_slope(vectors, x)


class SiLU(Activation):
    """x * sigmoid(x)."""

    def __init__(self, inplace: bool = False) -> None:
        self._inplace = inplace

    def supports(self, x: torch.Tensor) -> bool:
        return not self._inplace

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        return silu(x), (x,)

    def times_slope(self, vectors: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.silu_backward(vectors, x)


class GELU(Activation):
    """x * Phi(x), with the normal distribution function Phi, or with its approximation by tanh."""

    def __init__(self, approximate: str = "none") -> None:
        self._approximate = approximate

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, Kept]:
        return gelu(x, approximate=self._approximate), (x,)

    def times_slope(self, vectors: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.gelu_backward(vectors, x, approximate=self._approximate)
