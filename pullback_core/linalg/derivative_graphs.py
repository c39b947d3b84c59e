"""What autograd records for the products with a Jacobian, and what it says where there is no derivative."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch

from .autograd_graph import autograd_nodes
from .offload import dropping_zeros, offloading
from .precision import without_autocast

NEARBY = 1e-3  # a relative change of x that f shows, if f depends on x at all


class IndependentError(ValueError):
    """Autograd sees no dependence of h on the noisy latent. There may be one that autograd does not see."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "As far as autograd can see, the map x -> h does not depend on the noisy latent: "
            f"{reason}; compute h from the latent by differentiable operations of torch, "
            "outside no_grad, detach and inference_mode."
        )


class DerivativeGraphs:
    """The autograd graph of f at x (gives J^T u) and the graph of its backward pass (gives J v).

    Args:
        f: Maps (1, *in_shape) to (1, *out_shape), in operations that autograd can differentiate twice.
        x: (*in_shape), the point of linearisation.
        offload: Keep what is recorded in main memory.
        resident: Tensors that are not offloaded, see `offloading`.

    Attributes:
        value: (*out_shape), f(x) with its autograd graph.

    Raises:
        IndependentError: Autograd sees no dependence of f(x) on x.
    """

    def __init__(
        self,
        f: Callable[[torch.Tensor], torch.Tensor],
        x: torch.Tensor,
        offload: bool,
        resident: Sequence[torch.Tensor] = (),
    ) -> None:
        self._f, self._offload, self._resident = f, offload, resident
        with _recording(), offloading(resident) if offload else nullcontext():
            self._x = x.detach().clone().requires_grad_()
            self.value = f(self._x.clone()[None])[0]
        _require_dependence(self.value, self._x)
        self._backward: tuple[torch.Tensor, torch.Tensor] | None = None

    def vjp(self, u: torch.Tensor) -> torch.Tensor:
        """J^T u, a backward pass: (b, *out_shape) -> (b, *in_shape)."""
        with _recording():
            rows = _gradients(self.value, self._x, u.clone())
        if rows is None:
            self._require_constant()
            rows = torch.zeros(len(u), *self._x.shape, dtype=self._x.dtype, device=self._x.device)
        return rows

    def jvp(self, v: torch.Tensor) -> torch.Tensor:
        """J v, a backward pass of the backward pass: (b, *in_shape) -> (b, *out_shape)."""
        u, row = self.record_backward()
        with _recording():
            columns = _gradients(row, u, v.clone())
        if columns is None:
            columns = torch.zeros(len(v), *u.shape, dtype=u.dtype, device=u.device)
        return columns

    def record_backward(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Record a backward pass, if that was not done yet.

        Returns:
            u (*out_shape), which is zero, and J^T u (*in_shape) with its autograd graph.

        Raises:
            IndependentError: The backward pass returns no gradient although f(x) depends on x.
            ValueError: The backward pass cannot be differentiated.
        """
        if self._backward is not None:
            return self._backward
        # u is zero, so most of what is computed from it is zero too. Autograd would keep all that, because
        # second derivatives need it.
        with _recording(), dropping_zeros(self._offload, self._resident):
            u = torch.zeros_like(self.value).requires_grad_()
            row = _gradient(self.value, self._x, u, create_graph=True)
        if row is None:
            self._require_constant()
            row = torch.zeros_like(self._x)
        # Where J is zero, as for rounding, J^T u need not depend on u.
        if not _leads_to(row, u) and self.vjp(self._random_vector()).any():
            raise ValueError(
                "The backward pass of the map x -> h cannot be differentiated, so J v is not known; write "
                "the backward of custom operations in differentiable operations of torch."
            )
        self._backward = u, row
        return self._backward

    def _require_constant(self) -> None:
        """Refuse a missing gradient, unless f(x) does not change with x, as for rounding."""
        with torch.no_grad():
            nearby = self._f(self._x.detach()[None] * (1 + NEARBY))[0]
        if not torch.equal(nearby, self.value.detach()):
            raise IndependentError("an operation on the way returns no gradient")

    def _random_vector(self) -> torch.Tensor:
        vector = torch.randn(1, *self.value.shape, generator=torch.Generator().manual_seed(0))
        return vector.to(self.value.dtype).to(self.value.device)


def _require_dependence(value: torch.Tensor, x: torch.Tensor) -> None:
    """Raise `IndependentError` unless the autograd graph of a value leads to x."""
    if not value.is_floating_point():
        raise IndependentError(
            f"h is of type {str(value.dtype).removeprefix('torch.')}, which has no derivative"
        )
    if not value.requires_grad:
        raise IndependentError("h was computed without a record of its gradient")
    if not _leads_to(value, x):
        raise IndependentError("the gradient of h leads to other tensors only")


def _leads_to(value: torch.Tensor, leaf: torch.Tensor) -> bool:
    """Whether the autograd graph of a tensor leads to this leaf."""
    return any(getattr(node, "variable", None) is leaf for node in autograd_nodes(value))


def _gradients(output: torch.Tensor, input: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor | None:
    """Gradients (b, *) of the input for (b, *) vectors of the output; None where no gradient reaches it."""
    if not output.requires_grad:
        return None
    if len(vectors) == 1:  # without vmap, which not every operation supports
        gradient = _gradient(output, input, vectors[0])
        return None if gradient is None else gradient[None]
    missing = False

    def gradient_or_zeros(vector: torch.Tensor) -> torch.Tensor:
        nonlocal missing
        gradient = _gradient(output, input, vector)
        missing = gradient is None
        return torch.zeros_like(input) if gradient is None else gradient

    rows = torch.func.vmap(gradient_or_zeros)(vectors)
    return None if missing else rows


def _gradient(
    output: torch.Tensor, input: torch.Tensor, vector: torch.Tensor, create_graph: bool = False
) -> torch.Tensor | None:
    return torch.autograd.grad(
        output, input, vector, retain_graph=True, create_graph=create_graph, allow_unused=True
    )[0]


@contextmanager
def _recording() -> Iterator[None]:
    """Let autograd record in the precision of the tensors, also in inference_mode, no_grad or autocast."""
    with torch.inference_mode(False), torch.enable_grad(), without_autocast():
        yield
