"""A linear operator whose output is weighted: it responds most where the weights are large."""

import torch

from .linear_operator import LinearOperator


class WeightedOperator:
    """D J for a linear operator J and a diagonal D.

    Args:
        operator: J.
        weights: (*out_shape), the diagonal of D.

    Attributes:
        x: As in `LinearOperator`.
        in_shape: The shape of one v.
        out_shape: The shape of one u.
    """

    def __init__(self, operator: LinearOperator, weights: torch.Tensor) -> None:
        self._operator, self._weights = operator, weights.to(operator.x)
        self.x = operator.x
        self.in_shape, self.out_shape = tuple(operator.in_shape), tuple(operator.out_shape)

    def jvp(self, v: torch.Tensor) -> torch.Tensor:
        """D J v of each vector of a block: (b, *in_shape) -> (b, *out_shape)."""
        return self._operator.jvp(v) * self._weights

    def vjp(self, u: torch.Tensor) -> torch.Tensor:
        """J^T D u of each vector of a block: (b, *out_shape) -> (b, *in_shape)."""
        return self._operator.vjp(u * self._weights)
