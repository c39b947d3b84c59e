"""The Jacobian of a function at a point, as a linear operator that is never written out.

>>> import torch
>>> jacobian = Jacobian(lambda x: x**2, torch.tensor([1.0, 2.0, 3.0]))
>>> jacobian.jvp(torch.eye(3))
tensor([[2., 0., 0.],
        [0., 4., 0.],
        [0., 0., 6.]])
>>> jacobian.vjp(torch.ones(1, 3))
tensor([[2., 4., 6.]])
"""

import math
from collections.abc import Callable, Sequence

import torch

from .derivative_graphs import DerivativeGraphs

Product = Callable[[DerivativeGraphs, torch.Tensor], torch.Tensor]


class Jacobian:
    """J = df/dx at x, known by its products alone.

    f is evaluated once, and its autograd graph is kept. J^T u is a backward pass. J v is a backward pass too,
    through the first backward pass: that one is linear in u, and its Jacobian is J^T (Townsend 2017, A new
    trick for calculating Jacobian vector products). So no product computes f again.

    Where a batch does not fit into the device's memory, it is halved, and stays so. Where one vector does not
    fit, activations are offloaded.

    Autograd may see a dependence of f(x) on x only in part, for example where one term of a sum was detached.
    The other part is then missing in J. `derivative_errors` finds that, by differences of f.

    Args:
        f: Maps a batch (1, *in_shape) to (1, *out_shape), in operations that autograd can differentiate twice
            in x, or that `pullback_core.rules.mode` provides.
        x: (*in_shape), the point of linearisation, real floating point.
        batch_size: How many products run at once; None runs each block in one go.
        offload: Keep activations in main memory between products, where x is on another device. It takes less
            of that device's memory, and more time.
        progress: Called as progress(products so far) after each batch. An exception that it raises ends the
            work.
        resident: Tensors of f that are on the device anyway, such as weights. They are not offloaded.

    Attributes:
        f: As given.
        x: As given.
        in_shape: The shape of x.
        batch_size: As given, or smaller where that did not fit.
        offload: As given, or True where that was needed.
        products: How many J v and J^T u were computed so far.
        progress: As given.

    Raises:
        ValueError: x is not floating point, batch_size is below 1, or (from any product) autograd sees no
            dependence of f(x) on x.
    """

    def __init__(
        self,
        f: Callable[[torch.Tensor], torch.Tensor],
        x: torch.Tensor,
        *,
        batch_size: int | None = None,
        offload: bool = False,
        progress: Callable[[int], object] | None = None,
        resident: Sequence[torch.Tensor] = (),
    ) -> None:
        if not torch.is_floating_point(x):
            raise ValueError(f"A Jacobian needs a real floating-point x, got {x.dtype}.")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.f, self.x = f, x
        self.in_shape = tuple(x.shape)
        self.batch_size, self.offload = batch_size, offload
        self.products = 0
        self.progress = progress
        self._resident = resident
        self._graphs: DerivativeGraphs | None = None

    @property
    def value(self) -> torch.Tensor:
        """f(x), (*out_shape), as it was computed for the products."""
        return self._recorded().value.detach()

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of f(x)."""
        return tuple(self.value.shape)

    def jvp(self, v: torch.Tensor) -> torch.Tensor:
        """J v: (b, *in_shape) -> (b, *out_shape)."""
        return self._in_batches(DerivativeGraphs.jvp, v, self.in_shape)

    def vjp(self, u: torch.Tensor) -> torch.Tensor:
        """J^T u: (b, *out_shape) -> (b, *in_shape)."""
        return self._in_batches(DerivativeGraphs.vjp, u, self.out_shape)

    def record(self) -> None:
        """Evaluate f and record both graphs now. Otherwise the first products do so."""
        self._recorded().record_backward()

    def forget(self) -> None:
        """Free the memory of the graphs. The next product evaluates f again."""
        self._graphs = None

    def _recorded(self) -> DerivativeGraphs:
        while self._graphs is None:
            try:
                self._graphs = DerivativeGraphs(self.f, self.x, self.offload, self._resident)
            except torch.OutOfMemoryError:
                if self.offload:
                    raise
                self.offload = True
        return self._graphs

    def _in_batches(self, product: Product, vectors: torch.Tensor, shape: tuple[int, ...]) -> torch.Tensor:
        if tuple(vectors.shape[1:]) != shape or not len(vectors):
            raise ValueError(
                f"Expected a non-empty block of vectors of shape {shape}, got {tuple(vectors.shape)}."
            )
        # A unit vector of many entries has tiny ones, which a network in half precision would round away. So
        # the products run with entries near 1. The scale is a power of two, so that in higher precision
        # nothing changes at all.
        scale = 2.0 ** round(0.5 * math.log2(math.prod(shape)))
        parts, done = [], 0
        while done < len(vectors):
            part = vectors[done : done + (self.batch_size or len(vectors))]
            self._recorded()  # outside `try`: where f itself does not fit, a smaller batch is no help
            try:
                parts.append(product(self._recorded(), part * scale) / scale)
            except torch.OutOfMemoryError:
                if not self._save_memory(len(part)):
                    raise
                continue
            done += len(part)
            self.products += len(part)
            if self.progress:
                self.progress(self.products)
        return torch.cat(parts)

    def _save_memory(self, batch_size: int) -> bool:
        """Halve a batch that did not fit, or offload activations. Returns whether that was possible."""
        if batch_size > 1:
            self.batch_size = batch_size // 2
        elif not self.offload:
            self.offload = True
            self.forget()
        else:
            return False
        return True
