"""An operator as the solver uses it: products of rows that are counted, checked, and scaled to be near 1."""

import math
from collections.abc import Callable

import torch

from .linear_operator import LinearOperator

OVERFLOW = "The Jacobian products are not finite: the model overflows at this input or precision."


class ScaledOperator:
    """A linear operator whose vectors are rows, with a count of its products and a limit for them.

    The solver works with J / scale, because squares of a tiny or huge J would leave the range of its
    precision. The scale is a power of two near the length of the first products, so dividing by it rounds
    nothing.

    Attributes:
        n: How many entries a v has.
        m: How many entries a u has.
        like: An empty tensor with the device and the dtype of the solver's rows: that of the operator, but at
            least float32.
        scale: The power of two; None until a product is not zero.
        products: How many J v and J^T u were computed.
        max_products: How many products the search may compute.
    """

    def __init__(
        self,
        operator: LinearOperator,
        max_products: int,
        progress: Callable[[int, float], object] | None = None,
    ) -> None:
        self._operator, self._progress = operator, progress
        self.in_shape, self.out_shape = tuple(operator.in_shape), tuple(operator.out_shape)
        self.n, self.m = math.prod(self.in_shape), math.prod(self.out_shape)
        self.dtype = operator.x.dtype
        self.like = operator.x.new_empty(0, dtype=torch.promote_types(self.dtype, torch.float32))
        self.eps = torch.finfo(self.like.dtype).eps
        self._largest_exponent = int(math.log2(torch.finfo(self.like.dtype).max)) - 8
        self.scale: float | None = None
        self.products, self._reported, self.max_products = 0, 0, max_products

    def has_room(self, count: int) -> bool:
        """Whether J v and J^T J v of `count` more vectors stay within the limit."""
        return self.products + 2 * count <= self.max_products

    def report(self, residual: float) -> None:
        """Tell `progress` the count of products and the largest residual, if there are new products."""
        if self._progress and self.products > self._reported:
            self._reported = self.products
            self._progress(self.products, residual)

    def jvp(self, rows: torch.Tensor) -> torch.Tensor:
        """J v, not scaled: (b, n) -> (b, m)."""
        return self._product(self._operator.jvp, rows, self.in_shape)

    def vjp(self, rows: torch.Tensor) -> torch.Tensor:
        """J^T u, not scaled: (b, m) -> (b, n)."""
        return self._product(self._operator.vjp, rows, self.out_shape)

    def images_and_returns(self, block: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Multiply the rows (b, n) by J / scale, and the results by its transpose: ((b, m), (b, n))."""
        images = self.jvp(block)
        lengths = self._powers_of_two(images)
        if self.scale is None and images.any():
            self.scale = lengths.max().item()
        scale = self.scale or 1.0
        # J^T multiplies vectors of length near 1, as J does: tiny or huge ones would leave the range inside
        # the operator.
        returns = self.vjp(images / lengths)
        return images / scale, returns / scale * (lengths / scale)

    def to_rows_dtype(self, small: torch.Tensor) -> torch.Tensor:
        """Bring a small float64 matrix from the CPU to the dtype and the device of the rows.

        Not every device has float64.

        Args:
            small: A matrix or a vector on the CPU.

        Returns:
            The same numbers, as rows have them.
        """
        return small.to(self.like.dtype).to(self.like.device)

    def _product(
        self, product: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, shape: tuple[int, ...]
    ) -> torch.Tensor:
        result = product(rows.view(-1, *shape).to(self.dtype)).flatten(1).to(self.like.dtype)
        self.products += len(rows)
        if not torch.isfinite(result).all():
            raise ValueError(OVERFLOW)
        return result

    def _powers_of_two(self, rows: torch.Tensor) -> torch.Tensor:
        """(b, 1) powers of two near the lengths of rows; 1 for a row of zeros."""
        # In two steps, because the squares of the entries may leave the range.
        largest = self._power_of_two(rows.abs().amax(dim=1, keepdim=True))
        return largest * self._power_of_two((rows / largest).norm(dim=1, keepdim=True))

    def _power_of_two(self, values: torch.Tensor) -> torch.Tensor:
        limit = self._largest_exponent
        exponents = [math.frexp(value)[1] if value else 0 for value in values.flatten().tolist()]
        powers = [2.0 ** max(-limit, min(exponent, limit)) for exponent in exponents]
        return self.like.new_tensor(powers)[:, None]
