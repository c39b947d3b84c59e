"""Global directions: what the local bases of many pictures have in common.

Source: Park et al. 2023, section 4.3, and the released code.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from .basis import PullbackBasis, are_same_level, require_one_origin
from .basis_checks import SINGULAR
from .directions.known import as_singular
from .directions.sums import unit
from .linalg import subspaces

METHODS = ("frechet", "matched")


def global_basis(bases: Sequence[PullbackBasis], method: str = "frechet") -> PullbackBasis:
    """Make one basis for many pictures from their local bases.

    Use a direction of it as it is, or carry the direction into one picture's tangent space first, by
    `parallel_transport` from this basis to the picture's.

    Args:
        bases: Bases of one model and feature, all of one kind, rank, size and noise level.
        method: "frechet" takes the Frechet mean of the tangent spaces in feature space, and within it the
            leading triplets of the mean of all J_i = U_i^T S_i V_i. It exists only for tangent spaces that
            lie near each other, as they do near T. "matched" pairs the directions of each basis with those of
            the first, by the Hungarian method on |<u_i, u_j>|, and averages the pairs. It always exists. It
            means as much as the pairs are alike. For kinds other than "singular", v and J v of a pair are
            averaged as they are, and the mean is of the same kind.

    Returns:
        A basis. That of "frechet" is of kind "singular"; `rotated_basis` can turn it. Its residuals say how
        far its triplets are from those of the local bases: the root mean square over the pictures of
        ||J_i^T u - s v|| / s_1, or of ||J_i v - s u|| / s_1 for other kinds, with s_1 the largest s.

    Raises:
        ValueError: The bases do not belong together, or have no Frechet mean.
    """
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    _require_alike(bases)
    if method == "frechet":
        bases = [as_singular(basis) for basis in bases]
    first, parts = bases[0], [_Triplets.of(basis) for basis in bases]
    singular = first.kind == SINGULAR
    mean = _frechet(bases, parts) if method == "frechet" else _matched(parts, singular)
    basis = replace(
        first,
        v=_like(mean.v, first.v),
        s=_like(mean.s, first.s),
        u=_like(mean.u, first.u),
        products=sum(basis.products for basis in bases),
        converged=all(basis.converged for basis in bases),
        provenance=_common_provenance(bases) | {"mean": f"{method} of {len(bases)}"},
        names=[] if singular else _common_names(bases),
        notes="",
        thumbnail=None,
        pictures=None,
        predicted=_mean_prediction(bases),
        search_space=None,
    )
    if not singular:
        parts = [_Triplets.of(as_singular(one)) for one in bases]
    misfit = _misfit(parts, _Triplets.of(basis), singular)
    return replace(basis, residuals=_like(misfit, first.residuals))


class _Triplets(NamedTuple):
    """Triplets as rows, in float64 on the CPU: not every device has float64."""

    v: torch.Tensor
    s: torch.Tensor
    u: torch.Tensor

    @classmethod
    def of(cls, basis: PullbackBasis) -> "_Triplets":
        v, u = basis.v.flatten(1), basis.u.flatten(1)
        return cls(v.cpu().double(), basis.s.cpu().double(), u.cpu().double())


def _like(rows: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """Rows in the dtype, on the device and in the shape of a tensor of a basis."""
    return rows.to(tensor.dtype).to(tensor.device).view_as(tensor)


def _require_alike(bases: Sequence[PullbackBasis]) -> None:
    if not bases:
        raise ValueError("A global basis needs at least one local basis, got none.")
    first = bases[0]
    for other in bases[1:]:
        if other.v.shape != first.v.shape or other.u.shape != first.u.shape:
            raise ValueError(
                f"The bases differ in rank or size ({tuple(first.v.shape)} and {tuple(other.v.shape)}); "
                "compute all with the same."
            )
        if other.kind != first.kind:
            raise ValueError(
                f"The bases are of different kinds, {first.kind!r} and {other.kind!r}; make all of one kind."
            )
        if not are_same_level(first.sigma, other.sigma):
            raise ValueError(
                f"The bases are of different noise levels, {first.sigma:.4g} and {other.sigma:.4g}; "
                "compute all at one."
            )
        require_one_origin(first, other)


def _common_provenance(bases: Sequence[PullbackBasis]) -> dict[str, str]:
    """The entries that all bases share."""
    return {
        name: value
        for name, value in bases[0].provenance.items()
        if all(basis.provenance.get(name) == value for basis in bases)
    }


def _common_names(bases: Sequence[PullbackBasis]) -> list[str]:
    """The names of the first basis, whose order the mean has, if all bases have the same."""
    return bases[0].names if all(basis.names == bases[0].names for basis in bases) else []


def _mean_prediction(bases: Sequence[PullbackBasis]) -> torch.Tensor | None:
    predicted = [basis.predicted for basis in bases if basis.predicted is not None]
    return torch.stack(predicted).mean(dim=0) if len(predicted) == len(bases) else None


def _frechet(bases: Sequence[PullbackBasis], parts: Sequence[_Triplets]) -> _Triplets:
    try:
        mean = subspaces.frechet_mean(bases)
    except ValueError as error:
        raise ValueError(
            "These tangent spaces have no Frechet mean; use the method 'matched', or a timestep nearer T."
        ) from error
    pulled = torch.zeros(len(mean), parts[0].v.shape[1], dtype=torch.float64)
    for v, s, u in parts:
        pulled = pulled + (mean @ u.T * s) @ v  # J_i^T of the mean's rows
    left, s, v = torch.linalg.svd(pulled / len(bases), full_matrices=False)
    return _Triplets(v, s, left.T @ mean)


def _matched(parts: Sequence[_Triplets], singular: bool) -> _Triplets:
    """The means of pairs. singular: make v and u orthonormal, and let s descend."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    reference = parts[0]
    v, s, u = (torch.zeros_like(rows) for rows in reference)
    changes = torch.zeros_like(u)  # the sums of J v
    for other in parts:
        inner = reference.u @ other.u.T
        pairs = torch.as_tensor(linear_sum_assignment(inner.abs().numpy(), maximize=True)[1])
        sign = torch.where(inner.gather(1, pairs[:, None]) < 0, -1.0, 1.0)
        v = v + sign * other.v[pairs]
        s = s + other.s[pairs] / len(parts)
        u = u + sign * other.u[pairs]
        changes = changes + sign * (other.s[:, None] * other.u)[pairs]
    if not singular:
        changes = changes / v.norm(dim=1, keepdim=True)
        return _Triplets(unit(v), changes.norm(dim=1), unit(changes))
    order = s.argsort(descending=True)
    return _Triplets(_nearest_orthonormal(v[order]), s[order], _nearest_orthonormal(u[order]))


def _nearest_orthonormal(rows: torch.Tensor) -> torch.Tensor:
    left, _, right = torch.linalg.svd(rows, full_matrices=False)
    return left @ right


def _misfit(parts: Sequence[_Triplets], mean: _Triplets, singular: bool) -> torch.Tensor:
    """The root mean square over pictures of ||J_i^T u - s v|| / s_1, or of ||J_i v - s u|| / s_1: (rank,).

    parts: singular triplets. singular: whether the mean is one too, so that J^T u of it means something.
    """
    squares = torch.zeros_like(mean.s)
    for v, s, u in parts:
        if singular:
            rests = (mean.u @ u.T * s) @ v - mean.s[:, None] * mean.v
        else:
            rests = (mean.v @ v.T * s) @ u - mean.s[:, None] * mean.u
        squares = squares + rests.square().sum(dim=1)
    return (squares / len(parts)).sqrt() / mean.s.max()
