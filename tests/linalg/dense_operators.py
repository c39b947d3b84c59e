"""Dense operators with prescribed singular values, for the tests of the solver."""

import torch


class DenseOperator:
    """A dense operator that counts its products."""

    def __init__(self, matrix, in_shape=None, out_shape=None):
        self.matrix, self.x, self.products = matrix, matrix.new_zeros(0), 0
        self.in_shape, self.out_shape = in_shape or (matrix.shape[1],), out_shape or (matrix.shape[0],)

    def jvp(self, v):
        self.products += len(v)
        return (v.flatten(1) @ self.matrix.T).view(-1, *self.out_shape)

    def vjp(self, u):
        self.products += len(u)
        return (u.flatten(1) @ self.matrix).view(-1, *self.in_shape)


def dense_matrix(m, n, values, dtype=torch.float64, seed=0):
    """An (m, n) matrix with these singular values, and zeros, between random orthonormal vectors."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(size, len(values), generator=generator, dtype=torch.float64))[0]
        for size in (m, n)
    )
    return (left * torch.tensor(values, dtype=torch.float64) @ right.T).to(dtype)


def projector(rows):
    """The (n, n) projector onto the span of rows (k, ...)."""
    return rows.flatten(1).T @ rows.flatten(1)


def largest_error(found, values):
    """How far the singular values are off, as a fraction of the largest one."""
    values = sorted(values, reverse=True) + [0.0] * len(found.s)
    right = torch.tensor(values[: len(found.s)], dtype=torch.float64)
    return ((found.s.double() - right).abs().max() / right[0]).item()
