"""The leading singular triplets of a linear operator from its products alone.

>>> J = Jacobian(f, x)
>>> v, s, u, *_ = top_singular_triplets(J, rank=8)
"""

from typing import NamedTuple

import torch

METHODS = ("krylov", "subspace")
KRYLOV_BLOCK = 2  # where several products at once cost little more than one
SETTLED = 0.2  # of the tolerance: so little may the singular values still move in a search by single vectors


class SingularTriplets(NamedTuple):
    """J v_i = s_i u_i, largest s first.

    v: (rank, *in_shape) orthonormal; s: (rank,) descending; u: (rank, *out_shape) orthonormal;
    residuals: (rank,) of ||J^T u_i - s_i v_i|| / s_1, from products that were computed;
    products: how many J v and J^T u that took; converged: whether every residual is within tolerance.
    space: all that the products said, to go on from: rows q (k, n), orthonormal, J q (k, m) and J^T J q (k, n); None for "subspace".
    The sign of a pair (v_i, u_i) is free: the largest entry of v_i is made positive.
    """

    v: torch.Tensor
    s: torch.Tensor
    u: torch.Tensor
    residuals: torch.Tensor
    products: int
    converged: bool
    space: tuple | None = None


def top_singular_triplets(
    operator, rank, *, tolerance=1e-2, max_products=None, seed=0, method="krylov", block_size=None, start=None, progress=None,
    space=None,
):
    """Find the `rank` largest singular values of an operator and their vectors.

    operator: anything with `jvp`, `vjp`, `in_shape`, `out_shape` (see `Jacobian`).
    tolerance: stop when every residual ||J^T u_i - s_i v_i|| / s_1 is at most this. A search by single
        vectors also waits for the singular values: a triplet still to rise shifts those below it, however small their residuals are.
    max_products: stop there at the latest, converged or not; None is 200 for each triplet. Measuring singular values
        that turn out to be zero comes on top.
    method: "krylov", block Krylov iteration with full reorthogonalisation and Rayleigh-Ritz
        (Golub, Luk, Overton, "A Block Lanczos Method for Computing the Singular Values and
        Corresponding Singular Vectors of a Matrix", ACM TOMS 7, 1981), or "subspace", Algorithm 1
        of Park et al. 2023, which keeps only the newest block.
    block_size: vectors that go through the operator together; None is `rank` ("subspace"), or ("krylov") 1 where the operator
        computes products one by one (its `batch_size` is 1), which takes the fewest of them, and 2 elsewhere.
        A value repeated more often than the block is wide may be found fewer times than it is there;
        `rank` as block size finds all, for about twice the products.
    start: (k, *in_shape), vectors near the ones that are sought, such as the v of a neighbouring timestep ("krylov" only).
        The first block is then random mixtures of them with as much noise, so a poor start costs little and excludes nothing.
    progress: called as progress(products, largest residual) after every block; an exception it
        raises ends the work.
    space: of an earlier result for the same operator ("krylov" only), to go on where that one ended, with a larger rank or a smaller
        tolerance. One product tells whether the operator is the same; if not, the search begins as without it.

    Each step multiplies one block by J and the result by J^T. Everything the products say is kept, so
    a residual costs no further product; only for singular values that are zero in floating point is
    J^T u computed once more, to measure it.

    Returns `SingularTriplets`, in the dtype of the operator's x but at least float32: half precision is for products only.
    Raises ValueError for a rank, tolerance or method that makes no sense.
    """
    n, m = _size(operator.in_shape), _size(operator.out_shape)
    if not 1 <= rank <= min(n, m):
        raise ValueError(f"The rank must be from 1 to {min(n, m)} for a Jacobian of {m} x {n}, got {rank}.")
    if not tolerance > 0:
        raise ValueError(f"The tolerance must be positive, got {tolerance}.")
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    keep_all = method == "krylov"
    if block_size is None:
        block_size = min(rank, 1 if getattr(operator, "batch_size", None) == 1 else KRYLOV_BLOCK) if keep_all else rank
    if not 1 <= block_size <= min(n, m) or (not keep_all and block_size < rank):
        raise ValueError(f"A block of {block_size} does not suit rank {rank} of a Jacobian of {m} x {n}.")
    if start is not None and (not keep_all or not len(start) or start.shape[1:] != tuple(operator.in_shape)):
        raise ValueError(
            f"A start is for the method 'krylov', with vectors of shape {tuple(operator.in_shape)}, "
            f"got {tuple(start.shape)} for {method!r}."
        )
    if space is not None and (not keep_all or [rows.shape[1:] for rows in space] != [(n,), (m,), (n,)]):
        raise ValueError(f"A space is for the method 'krylov' and an operator of the same shape, here {m} x {n}, got one for {method!r}.")
    least = 2 * min(n, block_size * -(-rank // block_size))
    if max_products is None:
        max_products = max(200 * rank, least)
    if max_products < least:
        raise ValueError(f"max_products must be at least {least} for rank {rank} in blocks of {block_size}, got {max_products}.")
    generator = torch.Generator().manual_seed(seed)

    # Rows are vectors. q spans the search space, w = J q and z = J^T J q are what the products said of it.
    like = getattr(operator, "x", torch.empty(0))  # of the dtype and device of the products
    dtype, like = like.dtype, like.to(torch.promote_types(like.dtype, torch.float32))

    def multiply(product, rows, shape):
        return product(rows.view(-1, *shape).to(dtype)).flatten(1).to(like.dtype)

    block, _ = _orthonormal(_random(block_size, n, generator, like), None, generator)
    if start is not None:  # mixtures of the start, and as much that is random, so that nothing is excluded
        mixtures = _random(block_size, len(start), generator, like) @ start.flatten(1).to(like)
        block, _ = _orthonormal(block + mixtures / mixtures.norm(dim=1, keepdim=True), None, generator)
    q, w, z = (like.new_empty(0, size) for size in (n, m, n))
    products, proven, settled, before = 0, True, None, None
    if space is not None and len(space[0]) < n:
        known = [rows.to(like) for rows in space]
        signs = _random(1, len(known[0]), generator, like).sign()
        probe, expected = signs @ known[0], signs @ known[1]  # of a sum of all of q, in which every difference shows
        products += 1
        difference = (multiply(operator.jvp, probe, operator.in_shape) - expected).norm() / expected.norm()
        if difference <= max(tolerance / 10, 8 * torch.finfo(dtype).eps):
            q, w, z = known
            block, _ = _orthonormal(z[-block_size:], q, generator, limit=n - len(q))
    while True:
        images = multiply(operator.jvp, block, operator.in_shape)
        returns = multiply(operator.vjp, images, operator.out_shape)
        products += 2 * len(block)
        if not torch.isfinite(returns).all():
            raise ValueError("The Jacobian products are not finite: the model overflows at this input or precision.")
        if keep_all:
            q, w, z = torch.cat([q, block]), torch.cat([w, images]), torch.cat([z, returns])
        else:
            q, w, z = block, images, returns
        exhausted, vanished = len(q) == n, 0
        if not exhausted:
            block, vanished = _orthonormal(returns, q if keep_all else None, generator, limit=n - len(q) if keep_all else None)
        if len(q) < rank:
            if progress:
                progress(products, float("inf"))
            continue
        v, s, u, residuals, null = _rayleigh_ritz(q, w, z, rank)
        worst = residuals.max().item()
        if progress:
            progress(products, worst)
        if keep_all and vanished:
            # A block that vanished has seen all that it can see: an invariant subspace, in which a value that is repeated
            # more often than the block is wide shows too few times. A fresh random block must find nothing larger.
            proven = False
            if vanished == len(block):
                proven = settled is not None and torch.allclose(s, settled, rtol=1e-3, atol=1e-3 * float(s[0]))
                settled = s
        still = block_size > 1 or not keep_all or (before is not None and bool((s - before).max() <= SETTLED * tolerance * s[0]))
        before = s
        if (worst <= tolerance and still and proven) or exhausted or products + 2 * block_size > max_products:
            break
    if null.any():
        back = multiply(operator.vjp, u[null], operator.out_shape)
        products += int(null.sum())
        residuals[null] = (back - s[null, None] * v[null]).norm(dim=1) / s[0].clamp(min=torch.finfo(s.dtype).tiny)
    sign = torch.gather(v, 1, v.abs().argmax(dim=1, keepdim=True)).sign()
    v, u = v * sign, u * sign
    return SingularTriplets(
        v.view(rank, *operator.in_shape), s, u.view(rank, *operator.out_shape),
        residuals, products, residuals.max().item() <= tolerance, (q, w, z) if keep_all else None,
    )


def _rayleigh_ritz(q, w, z, rank):
    """The best triplets within span(q): factorise, solve a small problem, lift back.

    `null` marks triplets whose s is zero in floating point; their residual is not known yet (set to 0).
    """
    u, s, y = torch.linalg.svd(w.T, full_matrices=False)
    u, s, y = u.T[:rank].contiguous(), s[:rank], y[:rank]
    v = y @ q
    null = s <= 100 * torch.finfo(s.dtype).eps * s[0]
    safe = torch.where(null, 1, s)
    residuals = (y @ z / safe[:, None] - s[:, None] * v).norm(dim=1) / torch.where(s[0] > 0, s[0], 1)
    return v, s, u, torch.where(null, 0, residuals), null


def _orthonormal(block, against, generator, limit=None):
    """Orthonormal rows that span those of `block` without `against`, and how many vanished.

    What vanishes is replaced at random, so that the search goes on in what has not been seen yet.
    """
    block = block[:limit]
    threshold = 1e3 * torch.finfo(block.dtype).eps
    rows, vanished = [], 0
    for row in block / block.norm(dim=1, keepdim=True).clamp(min=torch.finfo(block.dtype).tiny):
        before = rows if against is None else [*against, *rows]
        before = torch.stack(before) if before else None
        projected = _project_out(row, before)
        vanished += bool(projected.norm() <= threshold)
        while projected.norm() <= threshold:
            row = _random(1, len(row), generator, row)[0]
            projected = _project_out(row / row.norm(), before)
        projected = _project_out(projected / projected.norm(), before)
        rows.append(projected / projected.norm())
    return torch.stack(rows), vanished


def _project_out(row, basis):
    return row if basis is None else row - basis.T @ (basis @ row)


def _random(count, size, generator, like):
    """On the CPU whatever the device, so that a seed means the same vectors everywhere."""
    return torch.randn(count, size, generator=generator, dtype=torch.float64).to(like)


def _size(shape):
    return int(torch.tensor(shape).prod())
