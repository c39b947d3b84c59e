"""The Jacobian of a function at a point, as a linear operator that is never written out.

>>> J = Jacobian(lambda x: x**2, torch.tensor([1.0, 2.0, 3.0]))
>>> J.jvp(torch.eye(3))
tensor([[2., 0., 0.],
        [0., 4., 0.],
        [0., 0., 6.]])
"""

import math
from contextlib import ExitStack, contextmanager

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
    `products` counts every J v and J^T u computed so far.
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
        return self._in_batches(v, self.in_shape, lambda one: torch.func.jvp(self._f, (self.x,), (one,))[1])

    def vjp(self, u):
        """J^T u by reverse-mode differentiation: (b, *out_shape) -> (b, *in_shape)."""
        if self._pullback is None:
            with _derivatives():
                _, self._pullback = torch.func.vjp(self._f, self.x)
        return self._in_batches(u, self.out_shape, lambda one: self._pullback(one)[0])

    def _in_batches(self, vectors, shape, product):
        if tuple(vectors.shape[1:]) != shape or not len(vectors):
            raise ValueError(f"Expected a non-empty block of vectors of shape {shape}, got {tuple(vectors.shape)}.")
        # A unit vector of many entries has tiny ones, which a network in half precision would round away: run with
        # entries near 1. A power of two, so that in higher precision nothing changes at all.
        scale = 2.0 ** round(0.5 * math.log2(math.prod(shape)))
        parts = []
        for part in vectors.split(self.batch_size or len(vectors)):
            with _derivatives():
                parts.append(torch.func.vmap(product)(part * scale) / scale)
            self.products += len(part)
            if self.progress:
                self.progress(self.products)
        return torch.cat(parts)


@contextmanager
def _derivatives():
    """Where torch.func works: outside inference mode, in which it returns zeros, and recording nothing else."""
    with torch.inference_mode(False), torch.no_grad():
        yield


def adjoint_error(operator, seed=0):
    """How far <u, J v> is from <J^T u, v>, relative, for one random u and v: about 1e-7 in float32.

    A larger value means that one of the two products is wrong. Costs two products. Returns a float.
    """
    v, u = _random_unit(operator.in_shape, operator, seed), _random_unit(operator.out_shape, operator, seed + 1)
    column, row = operator.jvp(v).double(), operator.vjp(u).double()
    forward, backward = (u.double() * column).sum(), (row * v.double()).sum()
    scale = max(column.norm(), row.norm())
    return ((forward - backward).abs() / scale).item() if scale > 0 else 0.0


def difference_error(jacobian, f, *, change=0.01, seed=0):
    """How far J v is from the central difference of f at x, relative, for one unit v that f feels.

    It catches what the adjoint identity cannot: both products leaving out the same part of f.
    f: as given to `Jacobian`, or another way to compute the same; v is J^T u for a random u, made unit length.
    change: how much of ||f(x)|| a step along v shall change it; small for curved maps, large for low precision.
    Costs two products and three evaluations. Returns a float; infinite when J^T u or J v is zero or not finite.
    """
    v = jacobian.vjp(_random_unit(jacobian.out_shape, jacobian, seed))
    if not 0 < v.norm() < math.inf:
        return math.inf
    v = v / v.norm()
    column = jacobian.jvp(v).double()
    if not 0 < column.norm() < math.inf:
        return math.inf
    with torch.no_grad():
        step = change * f(jacobian.x[None]).norm().item() / column.norm().item()
        ahead, behind = f(jacobian.x + step * v), f(jacobian.x - step * v)
    difference = (ahead - behind).double() / (2 * step)
    return ((column - difference).norm() / column.norm()).item()


def _random_unit(shape, operator, seed):
    vector = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))
    return (vector / vector.norm()).to(operator.x)


@contextmanager
def contiguous_norms(network):
    """Within it, the group norms of a module get contiguous input, as their forward-mode derivative needs.

    Attention and weights in channels_last leave other layouts. Goes through temporary hooks, which are gone afterwards.
    """
    with ExitStack() as hooks:
        for module in network.modules():
            if isinstance(module, torch.nn.GroupNorm):
                hooks.enter_context(module.register_forward_pre_hook(_contiguous))
        yield


def _contiguous(norm, inputs):
    return (inputs[0].contiguous(), *inputs[1:])
