"""The Jacobian of a function at a point, as a linear operator that is never written out.

>>> J = Jacobian(lambda x: x**2, torch.tensor([1.0, 2.0, 3.0]))
>>> J.jvp(torch.eye(3))
tensor([[2., 0., 0.],
        [0., 4., 0.],
        [0., 0., 6.]])
"""

from contextlib import contextmanager

import torch


class Jacobian:
    """J = df/dx at x, known by its products alone.

    f: maps a batch (b, *in_shape) to (b, *out_shape), each sample on its own.
    x: (*in_shape), the point of linearisation, real floating point.
    batch_size: how many products run at once; None runs each block that is asked for in one go.
        Memory grows with it: a product holds about one more forward pass for every vector.

    A column J v costs about two forward passes, a row J^T u about one backward pass: the forward
    pass that a row needs runs once, at the first one, and is kept.
    `products` counts every J v and J^T u computed so far.
    """

    def __init__(self, f, x, *, batch_size=None):
        if not torch.is_floating_point(x):
            raise ValueError(f"A Jacobian needs a real floating-point x, got {x.dtype}.")
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}.")
        self.x = x
        self.in_shape = tuple(x.shape)
        self.batch_size = batch_size
        self.products = 0
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
        with _derivatives():
            parts = [torch.func.vmap(product)(part) for part in vectors.split(self.batch_size or len(vectors))]
        self.products += len(vectors)
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
    generator = torch.Generator().manual_seed(seed)
    dtype, device = operator.x.dtype, operator.x.device

    def draw(shape):
        return torch.randn(1, *shape, generator=generator).to(device=device, dtype=dtype)

    v, u = draw(operator.in_shape), draw(operator.out_shape)
    column, row = operator.jvp(v).double(), operator.vjp(u).double()
    forward, backward = (u.double() * column).sum(), (row * v.double()).sum()
    scale = max(u.double().norm() * column.norm(), row.norm() * v.double().norm())
    return ((forward - backward).abs() / scale).item() if scale > 0 else 0.0
