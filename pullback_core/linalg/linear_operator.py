"""What the solver needs to know of a linear operator J: its products and their shapes, never its entries."""

from typing import Protocol

import torch


class LinearOperator(Protocol):
    """A real linear operator J from tensors of `in_shape` to tensors of `out_shape`, such as a `Jacobian`.

    Attributes:
        x: A tensor with the dtype and the device that vectors and products have; its values are not used.
    """

    x: torch.Tensor

    @property
    def in_shape(self) -> tuple[int, ...]:
        """The shape of one v."""
        ...

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of one u."""
        ...

    def jvp(self, v: torch.Tensor, /) -> torch.Tensor:
        """J v of each vector of a block: (b, *in_shape) -> (b, *out_shape)."""
        ...

    def vjp(self, u: torch.Tensor, /) -> torch.Tensor:
        """J^T u of each vector of a block: (b, *out_shape) -> (b, *in_shape)."""
        ...
