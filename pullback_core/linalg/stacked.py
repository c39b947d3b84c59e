"""Several linear operators as one: their products, one below the other."""

import math
from collections.abc import Sequence

import torch

from .jacobian import Jacobian


class StackedJacobians:
    """J = [J_1; ...; J_k] / sqrt(k), a linear operator. J^T J is the mean of J_k^T J_k.

    So the right singular vectors of J are the directions of greatest response over all points.

    Args:
        jacobians: Jacobians of one shape, dtype and device.
        forget: Free the graphs of each Jacobian after its products, so that only one of them takes memory at
            a time. Each product then evaluates the function again.

    Attributes:
        jacobians: As given.
        x: The point of the first Jacobian.
        in_shape: The shape of one v.

    Raises:
        ValueError: There is no Jacobian, or their shapes differ.
    """

    def __init__(self, jacobians: Sequence[Jacobian], *, forget: bool = False) -> None:
        shapes = {jacobian.in_shape for jacobian in jacobians}
        if len(shapes) != 1:
            raise ValueError(f"Jacobians to stack must have one shape, got {sorted(shapes)}.")
        self.jacobians, self._forget = list(jacobians), forget
        self.x, self.in_shape = self.jacobians[0].x, self.jacobians[0].in_shape

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of one u, (k, *H)."""
        return (len(self.jacobians), *self.jacobians[0].out_shape)

    @property
    def products(self) -> int:
        """How many products with one of the J_k were computed so far."""
        return sum(jacobian.products for jacobian in self.jacobians)

    def jvp(self, v: torch.Tensor) -> torch.Tensor:
        """J v: (b, *in_shape) -> (b, k, *H)."""
        parts = []
        for jacobian in self.jacobians:
            parts.append(jacobian.jvp(v))
            self._done_with(jacobian)
        return torch.stack(parts, dim=1) / math.sqrt(len(parts))

    def vjp(self, u: torch.Tensor) -> torch.Tensor:
        """J^T u: (b, k, *H) -> (b, *in_shape)."""
        total = torch.zeros(len(u), *self.in_shape, dtype=self.x.dtype, device=self.x.device)
        for index, jacobian in enumerate(self.jacobians):
            total = total + jacobian.vjp(u[:, index])
            self._done_with(jacobian)
        return total / math.sqrt(len(self.jacobians))

    def _done_with(self, jacobian: Jacobian) -> None:
        if self._forget:
            jacobian.forget()
