"""The Jacobian of a function at a point, as a linear operator that is never written out.

>>> J = Jacobian(lambda x: x**2, torch.tensor([1.0, 2.0, 3.0]))
>>> J.jvp(torch.eye(3))
tensor([[2., 0., 0.],
        [0., 4., 0.],
        [0., 0., 6.]])
"""

import math
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Jacobian:
    """J = df/dx at x, known by its products alone.

    f: maps a batch (b, *in_shape) to (b, *out_shape), each sample on its own.
    x: (*in_shape), the point of linearisation, real floating point.
    batch_size: how many products run at once; None runs each block that is asked for in one go.
        Memory grows with it: a product holds about one more forward pass for every vector.
    progress: called as progress(products so far) after each batch; an exception it raises ends the work.

    A column J v costs about two forward passes, a row J^T u about one backward pass: the forward
    pass that a row needs runs once, at the first one, and is kept.
    `products` counts every J v and J^T u computed so far. `primals`: f(x) as computed within the products, by "jvp" and "vjp".
    A batch that does not fit into the device's memory is halved, for good, and tried again.
    """

    def __init__(self, f, x, *, batch_size=None, progress=None):
        if not torch.is_floating_point(x):
            raise ValueError(f"A Jacobian needs a real floating-point x, got {x.dtype}.")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.x = x
        self.in_shape = tuple(x.shape)
        self.batch_size = batch_size
        self.products = 0
        self.progress = progress
        self._f = lambda point: f(point.unsqueeze(0)).squeeze(0)
        self.primals = {}
        self._pullback = None
        self._out_shape = None

    @property
    def out_shape(self):
        if self._out_shape is None:
            with torch.no_grad():
                self._out_shape = tuple(self._f(self.x).shape)
        return self._out_shape

    def jvp(self, v):
        """J v by forward-mode differentiation: (b, *in_shape) -> (b, *out_shape)."""
        return self._in_batches("jvp", v, self.in_shape, lambda one: torch.func.jvp(self._f, (self.x,), (one,)))

    def vjp(self, u):
        """J^T u by reverse-mode differentiation: (b, *out_shape) -> (b, *in_shape)."""
        if self._pullback is None:
            with _derivatives():
                self._value, self._pullback = torch.func.vjp(self._f, self.x)
        return self._in_batches("vjp", u, self.out_shape, lambda one: (self._value, *self._pullback(one)))

    def _in_batches(self, kind, vectors, shape, product):
        if tuple(vectors.shape[1:]) != shape or not len(vectors):
            raise ValueError(f"Expected a non-empty block of vectors of shape {shape}, got {tuple(vectors.shape)}.")
        # A unit vector of many entries has tiny ones, which a network in half precision would round away: run with
        # entries near 1. A power of two, so that in higher precision nothing changes at all.
        scale = 2.0 ** round(0.5 * math.log2(math.prod(shape)))
        parts, done = [], 0
        while done < len(vectors):
            part = vectors[done : done + (self.batch_size or len(vectors))]
            try:
                with _derivatives():
                    values, products = self._run(product, part * scale)
            except torch.OutOfMemoryError:
                if len(part) == 1:
                    raise
                self.batch_size = len(part) // 2
                continue
            self.primals[kind] = values[0]
            parts.append(products / scale)
            done += len(part)
            self.products += len(part)
            if self.progress:
                self.progress(self.products)
        return torch.cat(parts)

    def _run(self, product, vectors):
        """(b, *) values of f, one for each vector, and the (b, *) products."""
        if len(vectors) > 1:
            return torch.func.vmap(product)(vectors)
        return tuple(part[None] for part in product(vectors[0]))  # without vmap, which not every operation knows


@contextmanager
def _derivatives():
    """Where torch.func works: outside inference mode, in which it returns zeros, and recording nothing else."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def adjoint_error(operator, seed=0):
    """How far <u, J v> is from <J^T u, v>, relative, for one random u and v: about 1e-7 in float32.

    A larger value means that one of the two products is wrong. Costs two products. Returns a float.
    """
    v, u = _random_units(1, operator.in_shape, operator, seed), _random_units(1, operator.out_shape, operator, seed + 1)
    return _adjoint_error(v, operator.jvp(v), u, operator.vjp(u))


def _adjoint_error(v, columns, u, rows):
    """The largest of <u, J v> against <J^T u, v>, relative, of blocks of vectors and their products; 0 where both products are."""
    v, columns, u, rows = (block.flatten(1).double() for block in (v, columns, u, rows))
    scale = torch.maximum(columns.norm(dim=1), rows.norm(dim=1))
    return (((u * columns).sum(1) - (v * rows).sum(1)).abs() / scale.where(scale > 0, 1)).max().item()


class DerivativeErrors(NamedTuple):
    """What `derivative_errors` found, each relative: 0 is right, infinite is no derivative at all.

    adjoint: of <u, J v> against <J^T u, v>; difference: of J v against central differences, both in the higher precision;
    value: of the function's value inside the transforms against the one outside;
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
    Costs four products, and two evaluations for each change and one more; with `precise` one more of each.
    Returns `DerivativeErrors`.
    """
    u = _random_units(2, jacobian.out_shape, jacobian, seed + 1)
    rows = jacobian.vjp(u)
    lengths = _lengths(rows)
    if not (lengths > 0).all() or not torch.isfinite(lengths).all():
        return DerivativeErrors(math.inf, math.inf, math.inf, math.inf)
    v = rows / lengths + _random_units(2, jacobian.in_shape, jacobian, seed)  # along what f feels, and everything else
    v = v / _lengths(v)
    columns = jacobian.jvp(v).double()
    if not 0 < columns.norm() < math.inf:
        return DerivativeErrors(math.inf, math.inf, math.inf, math.inf)
    with torch.no_grad():
        value = f(jacobian.x[None])[0]
    inside = max((primal - value).norm().item() for primal in jacobian.primals.values()) / value.norm().item()
    column, differentiable, outside = columns[0], *(precise or (None, f))
    if precise:
        column = Jacobian(differentiable, jacobian.x).jvp(v[:1])[0].double()
    differences = []
    for change in changes:
        step = change * value.norm().item() / column.norm().item()
        with torch.no_grad():
            difference = (outside(jacobian.x + step * v[:1]) - outside(jacobian.x - step * v[:1])).double()[0] / (2 * step)
        differences.append(((column - difference).norm() / column.norm()).item())
    precision = ((columns[0] - column).norm() / column.norm()).item()
    return DerivativeErrors(_adjoint_error(v, columns, u, rows), min(differences), inside, precision)


def _lengths(vectors):
    return vectors.flatten(1).norm(dim=1).view(-1, *[1] * (vectors.ndim - 1))


def _random_units(count, shape, operator, seed):
    vectors = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    return (vectors / _lengths(vectors)).to(operator.x)
