"""Global directions: what the local bases of many pictures have in common (Park et al. 2023, section 4.3; released code)."""

from dataclasses import replace

import torch

from .basis import require_one_origin
from .linalg import subspaces

METHODS = ("frechet", "matched")


def global_basis(bases, method="frechet"):
    """One basis for many pictures, from their local bases.

    bases: a list of `PullbackBasis` of one model and feature, all of one rank, size and noise level.
    method: "frechet" takes the Frechet mean of the tangent spaces in feature space, and within it the leading triplets of the
        mean of all J_i = U_i^T S_i V_i. It exists only for tangent spaces that lie near each other, as near T.
        "matched" pairs the directions of each basis with those of the first, by the Hungarian method on |<u_i, u_j>|, and
        averages pairs: it exists always, and means as much as the pairs are alike.
    Returns a `PullbackBasis`; its residuals say how far its triplets are from those of the local bases: the root mean square
    over pictures of ||J_i^T u - s v|| / s_1. Use a direction as it is, or carry it into one picture's tangent space
    first, which is `parallel_transport` from this basis to that picture's.
    Raises ValueError for bases that do not belong together, or have no Frechet mean.
    """
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    _check(bases)
    v, s, u = (_frechet if method == "frechet" else _matched)(bases)
    first = bases[0]
    v, s, u = (
        part.to(like.dtype).to(like.device).view_as(like)
        for part, like in zip((v, s, u), (first.v, first.s, first.u))
    )
    provenance = {
        name: value
        for name, value in first.provenance.items()
        if all(one.provenance.get(name) == value for one in bases)
    }
    return replace(
        first,
        v=v,
        s=s,
        u=u,
        residuals=_misfit(bases, v, s, u),
        products=sum(one.products for one in bases),
        converged=all(one.converged for one in bases),
        provenance=provenance | {"mean": f"{method} of {len(bases)}"},
        search_space=None,
    )


def _check(bases):
    if not bases:
        raise ValueError("A global basis needs at least one local basis, got none.")
    first = bases[0]
    for other in bases[1:]:
        if other.v.shape != first.v.shape or other.u.shape != first.u.shape:
            raise ValueError(
                f"The bases differ in rank or size ({tuple(first.v.shape)} and {tuple(other.v.shape)}); compute all with the same."
            )
        if abs(other.sigma / first.sigma - 1) > 1e-3:
            raise ValueError(
                f"The bases are of different noise levels, {first.sigma:.4g} and {other.sigma:.4g}; compute all at one."
            )
        require_one_origin(first, other)


def _flat(basis):
    """(v, s, u) as rows, in float64 on the CPU: not every device has it."""
    return basis.v.flatten(1).cpu().double(), basis.s.cpu().double(), basis.u.flatten(1).cpu().double()


def _frechet(bases):
    try:
        mean = subspaces.frechet_mean(bases)
    except ValueError as error:
        raise ValueError(
            "These tangent spaces have no Frechet mean; use the method 'matched', or a timestep nearer T."
        ) from error
    pulled = sum((mean @ u.T * s) @ v for v, s, u in map(_flat, bases)) / len(
        bases
    )  # mean J^T within the mean space
    left, s, v = torch.linalg.svd(pulled, full_matrices=False)
    return v, s, left.T @ mean


def _matched(bases):
    from scipy.optimize import linear_sum_assignment  # slow to import

    reference = _flat(bases[0])
    v, s, u = (torch.zeros_like(part) for part in reference)
    for other_v, other_s, other_u in map(_flat, bases):
        inner = reference[2] @ other_u.T
        pairs = torch.as_tensor(linear_sum_assignment(inner.abs().numpy(), maximize=True)[1])
        sign = torch.where(inner.gather(1, pairs[:, None]) < 0, -1.0, 1.0)
        v, s, u = v + sign * other_v[pairs], s + other_s[pairs] / len(bases), u + sign * other_u[pairs]
    order = s.argsort(descending=True)
    return _nearest_orthonormal(v[order]), s[order], _nearest_orthonormal(u[order])


def _nearest_orthonormal(rows):
    left, _, right = torch.linalg.svd(rows, full_matrices=False)
    return left @ right


def _misfit(bases, v, s, u):
    v, s, u = v.flatten(1).cpu().double(), s.cpu().double(), u.flatten(1).cpu().double()
    squares = sum(
        ((u @ other_u.T * other_s) @ other_v - s[:, None] * v).square().sum(dim=1)
        for other_v, other_s, other_u in map(_flat, bases)
    )
    return ((squares / len(bases)).sqrt() / s[0]).to(bases[0].residuals.dtype).to(bases[0].residuals.device)
