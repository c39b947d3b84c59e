"""The Jacobian of a function at a point, as a linear operator that is never written out.

>>> J = Jacobian(lambda x: x**2, torch.tensor([1.0, 2.0, 3.0]))
>>> J.jvp(torch.eye(3))
tensor([[2., 0., 0.],
        [0., 4., 0.],
        [0., 0., 6.]])
"""

import math
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch.autograd.graph import saved_tensors_hooks

from .autograd_graph import autograd_nodes
from .precision import without_autocast

NEARBY = 1e-3  # a relative change of x that f shows, if it depends on x at all
OFFLOADED_BYTES = 2**20  # smaller activations take less memory than time


class IndependentError(ValueError):
    """Autograd sees no dependence of the features on the noisy latent, which says nothing of whether there is one."""

    def __init__(self, reason):
        super().__init__(
            f"As far as autograd can see, the map x -> h does not depend on the noisy latent: {reason}; compute h from the latent by "
            "differentiable operations of torch, outside no_grad, detach and inference_mode."
        )


class Jacobian:
    """J = df/dx at x, known by its products alone.

    f: maps a batch (1, *in_shape) to (1, *out_shape), in operations that autograd can differentiate twice in x, or that
        `pullback_core.rules.mode` provides.
    x: (*in_shape), the point of linearisation, real floating point.
    batch_size: how many products run at once; None runs each block that is asked for in one go.
    offload: keep activations in main memory between products, where x is on another device: less of its memory, more time.
    progress: called as progress(products so far) after each batch; an exception it raises ends the work.

    f is evaluated once, and what autograd recorded of it is kept. A row J^T u is a backward pass. So is a column J v, of that backward
    pass, which is linear in u, with J for its transpose (Townsend 2017, A new trick for calculating Jacobian vector products): no
    product computes f again.
    `products` counts every J v and J^T u computed so far; `value`: f(x), (*out_shape), as computed for them.
    Raises ValueError where autograd sees no dependence of f(x) on x. What it misses of a dependence that it sees in part, such as
    one term of a sum that was detached, is missing in J as well; `derivative_errors` finds that, by differences of f.
    Where a batch does not fit into the device's memory it is halved, for good, and where one vector does not, activations are offloaded.
    """

    def __init__(self, f, x, *, batch_size=None, offload=False, progress=None):
        if not torch.is_floating_point(x):
            raise ValueError(f"A Jacobian needs a real floating-point x, got {x.dtype}.")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.x = x
        self.in_shape = tuple(x.shape)
        self.batch_size, self.offload = batch_size, offload
        self.products = 0
        self.progress = progress
        self._f = f
        self._recorded = None

    @property
    def value(self):
        return self._recording().value.detach()

    @property
    def out_shape(self):
        return tuple(self.value.shape)

    def jvp(self, v):
        """J v: (b, *in_shape) -> (b, *out_shape)."""
        return self._in_batches(_Recording.forth, v, self.in_shape)

    def vjp(self, u):
        """J^T u: (b, *out_shape) -> (b, *in_shape)."""
        return self._in_batches(_Recording.back, u, self.out_shape)

    def record(self):
        """Do now what the first J v and the first J^T u would do once."""
        self._recording().transpose()

    def forget(self):
        """Free the memory of the record; the next product evaluates f anew."""
        self._recorded = None

    def _recording(self):
        while self._recorded is None:
            try:
                self._recorded = _Recording(self._f, self.x, self.offload)
            except torch.OutOfMemoryError:
                if self.offload:
                    raise
                self.offload = True
        return self._recorded

    def _in_batches(self, product, vectors, shape):
        if tuple(vectors.shape[1:]) != shape or not len(vectors):
            raise ValueError(
                f"Expected a non-empty block of vectors of shape {shape}, got {tuple(vectors.shape)}."
            )
        # A unit vector of many entries has tiny ones, which a network in half precision would round away: run with
        # entries near 1. A power of two, so that in higher precision nothing changes at all.
        scale = 2.0 ** round(0.5 * math.log2(math.prod(shape)))
        parts, done = [], 0
        while done < len(vectors):
            part = vectors[done : done + (self.batch_size or len(vectors))]
            self._recording()  # where this does not fit, a smaller batch is no help
            try:
                parts.append(product(self._recorded, part * scale) / scale)
            except torch.OutOfMemoryError:
                if len(part) > 1:
                    self.batch_size = len(part) // 2
                elif self.offload:
                    raise
                else:
                    self.offload = True
                    self.forget()
                continue
            done += len(part)
            self.products += len(part)
            if self.progress:
                self.progress(self.products)
        return torch.cat(parts)


class _Recording:
    """What autograd recorded of f at x, to be run backwards, and what it recorded of that, to be run backwards again."""

    def __init__(self, f, x, offload):
        self._f, self._offload = f, offload
        with _autograd(), saved_tensors_hooks(_offloaded, _restored) if offload else nullcontext():
            self._x = x.detach().clone().requires_grad_()
            self.value = f(self._x.clone()[None])[0]
        _require_dependence(self.value, self._x)
        self._transposed = None

    def back(self, u):
        with _autograd():
            rows = _gradients(self.value, self._x, u.clone())
        if rows is None:
            self._require_constant()
            rows = torch.zeros(len(u), *self._x.shape, dtype=self._x.dtype, device=self._x.device)
        return rows

    def _require_constant(self):
        """An operation returned no gradient. That is right for those like rounding, where f(x) does not change with x."""
        with torch.no_grad():
            nearby = self._f(self._x.detach()[None] * (1 + NEARBY))[0]
        if not torch.equal(nearby, self.value.detach()):
            raise IndependentError("an operation on the way returns no gradient")

    def _random_vector(self):
        vector = torch.randn(1, *self.value.shape, generator=torch.Generator().manual_seed(0))
        return vector.to(self.value.dtype).to(self.value.device)

    def forth(self, v):
        self.transpose()
        u, row = self._transposed
        with _autograd():
            columns = _gradients(row, u, v.clone())
        return torch.zeros(len(v), *u.shape, dtype=u.dtype, device=u.device) if columns is None else columns

    def transpose(self):
        """Record a backward pass, once."""
        if self._transposed is None:
            # The vectors are zeros here, so what was computed of them is as well; autograd keeps it, for second derivatives.
            with _autograd(), saved_tensors_hooks(partial(_without_zeros, offload=self._offload), _restored):
                u = torch.zeros_like(self.value).requires_grad_()
                row = _gradient(self.value, self._x, u, create_graph=True)
            if row is None:
                self._require_constant()
                row = torch.zeros_like(self._x)
            # J^T u need not depend on u where J is zero, as for rounding.
            if not _leads_to(row, u) and self.back(self._random_vector()).any():
                raise ValueError(
                    "The backward pass of the map x -> h cannot be differentiated, so J v is not known; write the backward of "
                    "custom operations in differentiable operations of torch."
                )
            self._transposed = u, row


def _require_dependence(value, x):
    """Raise `IndependentError` unless the autograd graph of a value leads to x."""
    if not value.is_floating_point():
        raise IndependentError(
            f"h is of type {str(value.dtype).removeprefix('torch.')}, which has no derivative"
        )
    if not value.requires_grad:
        raise IndependentError("h was computed without a record of its gradient")
    if not _leads_to(value, x):
        raise IndependentError("the gradient of h leads to other tensors only")


def _leads_to(value, leaf):
    """Whether the autograd graph of a tensor leads to a leaf of it."""
    return any(getattr(node, "variable", None) is leaf for node in autograd_nodes(value))


def _without_zeros(tensor, offload):
    """A function that returns the tensor, without keeping it where it is zero throughout."""
    if tensor.any():
        return _offloaded(tensor) if offload else lambda: tensor
    zero, shape = tensor.new_zeros(()), tensor.shape
    return lambda: zero.expand(shape)


def _offloaded(tensor):
    """A function that returns the tensor, kept in main memory where it is large and of another device."""
    device = tensor.device
    if device.type == "cpu" or tensor.nbytes < OFFLOADED_BYTES:
        return lambda: tensor
    kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda).copy_(tensor)
    return lambda: kept.to(device, non_blocking=True)


def _restored(kept):
    return kept()


def _gradients(output, input, vectors):
    """(b, *) gradients of the input for the (b, *) vectors of the output; None where no gradient reaches the input."""
    if not output.requires_grad:
        return None
    if len(vectors) == 1:  # without vmap, which not every operation knows
        gradient = _gradient(output, input, vectors[0])
        return None if gradient is None else gradient[None]
    missing = False

    def one(vector):
        nonlocal missing
        gradient = _gradient(output, input, vector)
        missing = gradient is None
        return torch.zeros_like(input) if missing else gradient

    rows = torch.func.vmap(one)(vectors)
    return None if missing else rows


def _gradient(output, input, vector, create_graph=False):
    return torch.autograd.grad(
        output, input, vector, retain_graph=True, create_graph=create_graph, allow_unused=True
    )[0]


@contextmanager
def _autograd():
    """Where autograd records, also within inference mode or without gradients, and in the precision of the tensors."""
    with torch.inference_mode(False), torch.enable_grad(), without_autocast():
        yield


def adjoint_error(operator, seed=0):
    """How far <u, J v> is from <J^T u, v>, relative, for one random u and v: about 1e-7 in float32.

    A larger value means that one of the two products is wrong. Costs two products. Returns a float.
    """
    v, u = (
        _random_units(1, operator.in_shape, operator, seed),
        _random_units(1, operator.out_shape, operator, seed + 1),
    )
    return _adjoint_error(v, operator.jvp(v), u, operator.vjp(u))


def _adjoint_error(v, columns, u, rows):
    """The largest of <u, J v> against <J^T u, v>, relative, of blocks of vectors and their products; 0 where both products are."""
    v, columns, u, rows = (block.flatten(1).cpu().double() for block in (v, columns, u, rows))
    scale = torch.maximum(columns.norm(dim=1), rows.norm(dim=1))
    return (((u * columns).sum(1) - (v * rows).sum(1)).abs() / scale.where(scale > 0, 1)).max().item()


class DerivativeErrors(NamedTuple):
    """What `derivative_errors` found, each relative: 0 is right, infinite is no derivative at all.

    adjoint: of <u, J v> against <J^T u, v>; difference: of J v against central differences, both in the higher precision;
    value: of the function's value as computed for the products against the one outside;
    precision: of J v against J v in the higher precision, which a strongly curved map can make large without any mistake.
    """

    adjoint: float
    difference: float
    value: float
    precision: float


def derivative_errors(jacobian, f, *, precise=None, changes=(1e-2, 1e-3, 1e-4), seed=0):
    """How far the products of a `Jacobian` are from each other and from what f itself does around the same point.

    The adjoint identity alone misses what both products leave out, such as a kernel that drops derivatives in silence.
    f: as given to the `Jacobian`, or another way to compute the same.
    precise: both functions again, in float32 at least: (as given to the `Jacobian`, f); None where they are so already.
        Differences in half precision tell nothing of a curved map: steps that are large enough to show leave its tangent.
    changes: how much of ||f(x)|| the steps of the differences shall change. The best of them counts.
    Costs four products, and two evaluations for each change and one more; with `precise` one more of each. The `Jacobian` is left
    without its record.
    Returns `DerivativeErrors`.
    """
    try:
        u = _random_units(2, jacobian.out_shape, jacobian, seed + 1)
        rows = jacobian.vjp(u)
    except IndependentError:
        return DerivativeErrors(math.inf, math.inf, math.inf, math.inf)
    lengths = _lengths(rows)
    if not (lengths > 0).all() or not torch.isfinite(lengths).all():
        return DerivativeErrors(math.inf, math.inf, math.inf, math.inf)
    v = rows / lengths + _random_units(
        2, jacobian.in_shape, jacobian, seed
    )  # along what f feels, and everything else
    v = v / _lengths(v)
    columns = jacobian.jvp(v).cpu().double()  # not every device has float64
    if not 0 < columns.norm() < math.inf:
        return DerivativeErrors(math.inf, math.inf, math.inf, math.inf)
    with torch.no_grad():
        value = f(jacobian.x[None])[0]
    inside = ((jacobian.value - value).norm() / value.norm()).item()
    column, differentiable, outside = columns[0], *(precise or (None, f))
    jacobian.forget()  # there may not be room for two records
    if precise:
        column = Jacobian(differentiable, jacobian.x, offload=jacobian.offload).jvp(v[:1])[0].cpu().double()
    differences = []
    for change in changes:
        step = change * value.norm().item() / column.norm().item()
        with torch.no_grad():
            difference = (
                outside(jacobian.x + step * v[:1]) - outside(jacobian.x - step * v[:1])
            ).cpu().double()[0] / (2 * step)
        differences.append(((column - difference).norm() / column.norm()).item())
    precision = ((columns[0] - column).norm() / column.norm()).item()
    return DerivativeErrors(_adjoint_error(v, columns, u, rows), min(differences), inside, precision)


def _lengths(vectors):
    return vectors.flatten(1).norm(dim=1).view(-1, *[1] * (vectors.ndim - 1))


def _random_units(count, shape, operator, seed):
    vectors = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    return (vectors / _lengths(vectors)).to(operator.x)
