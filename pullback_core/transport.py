"""Carrying a direction from one noisy latent to another (Park et al. 2023, section 3.4).

>>> import torch
>>> from pullback_core import PullbackBasis
>>> def basis(u):
...     v, s = torch.eye(4)[:2].view(2, 1, 2, 2), torch.tensor([2.0, 1.0])
...     return PullbackBasis(v, s, u, torch.zeros(2), products=0, converged=True, sigma=1.0, timestep=0.5)
>>> source, target = basis(torch.eye(3)[:2]), basis(torch.eye(3)[[1, 2]])
>>> parallel_transport(1, source, target)  # the second direction of the source is the first of the target
Transported(direction=tensor([[[1., 0.],
         [0., 0.]]]), alignment=1.0)
"""

from dataclasses import replace
from typing import NamedTuple

import torch

from .basis import PullbackBasis, require_one_origin
from .directions.carrying import fitted
from .directions.known import as_singular

RELEASED, EXACT, FITTED = "released", "exact", "fitted"
METHODS = (RELEASED, EXACT, FITTED)
MEANINGLESS_ALIGNMENT = 0.3  # below it, most of what was carried is something else
ROUNDING = 100  # singular values below this many units of the precision, as a share of s_1, count as zero


class Transported(NamedTuple):
    """A direction at the target.

    Attributes:
        direction: (c, h, w) in network coordinates, unit length.
        alignment: In [0, 1], how much of the direction survived.
    """

    direction: torch.Tensor
    alignment: float


def parallel_transport(
    direction: int | torch.Tensor,
    source: PullbackBasis,
    target: PullbackBasis,
    *,
    exact: bool = False,
    method: str | None = None,
) -> Transported:
    """Carry a direction of `source` into the tangent space of `target`.

    The alignment of "released" and "exact" is ||U_B^T u|| for the unit vector u. If it is near 0, the target
    has no such direction. `describe_alignment` puts that of "fitted" into words.

    Args:
        direction: An index into source's directions. For "released" and "exact" it may also be a vector of
            feature space with the shape of source.u[0].
        source: The basis that the direction belongs to, of any kind.
        target: A basis of the same feature of the same model, of any kind.
        exact: Means the method "exact"; for use without `method`.
        method: "released" projects onto the target's tangent space and takes the same mixture of the target's
            v, as the released code does: V_B^T U_B^T u. "exact" is the exact pullback of the projection,
            V_B^T S_B^-1 U_B^T u, which gives more weight to directions of small singular value. "fitted" is
            the move nearest to that of the source that changes the target in the same way, see
            `directions.carrying`. It carries best where the feature is "picture". None is "released".

    Returns:
        The direction at the target and its alignment.

    Raises:
        ValueError: The two bases do not belong together, the direction is not one of feature space, there is
            no such method, or nothing at all is left of the direction.
    """
    method = _method(exact, method)
    _require_together(source, target)
    if method == FITTED:
        basis, alignment = fitted(_index(direction), source, target)
        return Transported(basis.v[0], alignment)
    return _projected(direction, source, as_singular(target), method)


def transported_basis(
    direction: int | torch.Tensor,
    source: PullbackBasis,
    target: PullbackBasis,
    *,
    exact: bool = False,
    method: str | None = None,
) -> tuple[PullbackBasis, float]:
    """Carry a direction as `parallel_transport` does, and make a basis of rank 1 of it.

    The s, u and residual of the basis say what the target's Jacobian does to the carried direction, as far as
    the target's basis knows it: J v = s u, and how far v is from being a singular vector.

    Args:
        direction: As in `parallel_transport`.
        source: As in `parallel_transport`.
        target: As in `parallel_transport`.
        exact: As in `parallel_transport`.
        method: As in `parallel_transport`.

    Returns:
        The basis, at the target's point, and the alignment. It has the name of the direction, if that has
        one.

    Raises:
        ValueError: As in `parallel_transport`.
    """
    method = _method(exact, method)
    _require_together(source, target)
    if method == FITTED:
        return fitted(_index(direction), source, target)
    target = as_singular(target)
    v, alignment = _projected(direction, source, target, method)
    image = (target.v.flatten(1) @ v.flatten()) * target.s  # J v, in the coordinates of the target's u
    s = image.norm().clamp(min=torch.finfo(image.dtype).tiny)
    u = image / s
    residual = torch.einsum("i,ichw->chw", u * target.s, target.v) - s * v
    basis = replace(
        target,
        v=v[None],
        s=s[None],
        u=torch.einsum("i,i...->...", u, target.u)[None],
        residuals=(residual.norm() / target.s[0])[None],
        products=0,
        converged=True,
        names=_names(direction, source),
        notes="",
        thumbnail=None,
        pictures=None,
        search_space=None,
    )
    return basis, alignment


def _method(exact: bool, method: str | None) -> str:
    if method is None:
        return EXACT if exact else RELEASED
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    return method


def _index(direction: int | torch.Tensor) -> int:
    if isinstance(direction, torch.Tensor):
        raise ValueError(
            f"The method {FITTED!r} carries a direction of the source's basis, so it needs its number; "
            "got a vector of feature space."
        )
    return direction


def _names(direction: int | torch.Tensor, source: PullbackBasis) -> list[str]:
    """The names of a basis of rank 1 with this direction."""
    if isinstance(direction, torch.Tensor) or not source.name(direction):
        return []
    return [source.name(direction)]


def _require_together(source: PullbackBasis, target: PullbackBasis) -> None:
    if source.u.shape[1:] != target.u.shape[1:]:
        raise ValueError(
            f"The two bases see features of different shape, {tuple(source.u.shape[1:])} and "
            f"{tuple(target.u.shape[1:])}; compute both with one model, one feature and one picture size."
        )
    require_one_origin(source, target)


def _projected(
    direction: int | torch.Tensor, source: PullbackBasis, target: PullbackBasis, method: str
) -> Transported:
    """The methods "released" and "exact", for a target of kind "singular"."""
    coordinates = target.u.flatten(1) @ _unit_vector(direction, source, target)
    alignment = coordinates.norm().clamp(max=1).item()
    if method == EXACT:
        coordinates = _divided_by_singular_values(coordinates, target.s)
    carried = torch.einsum("i,ichw->chw", coordinates, target.v)
    if not carried.norm() > 0:
        raise ValueError(
            "The direction is orthogonal to everything in the target's basis; nothing can be carried."
        )
    return Transported(carried / carried.norm(), alignment)


def _unit_vector(direction: int | torch.Tensor, source: PullbackBasis, target: PullbackBasis) -> torch.Tensor:
    """A direction of feature space, flat and of unit length, in the dtype and on the device of target.u."""
    if not isinstance(direction, torch.Tensor):
        source.direction(direction)  # refuses an index that is not there
        direction = source.u[direction]
    u = direction.flatten().to(target.u)
    if len(u) != target.u[0].numel():
        raise ValueError(
            f"A direction of shape {tuple(direction.shape)} is not of the features' shape "
            f"{tuple(target.u.shape[1:])}."
        )
    if not u.norm() > 0:
        raise ValueError("The direction is zero, so there is nothing to carry.")
    return u / u.norm()


def _divided_by_singular_values(coordinates: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """The pseudo-inverse of diag(s) times coordinates: those of singular values that are zero become zero."""
    null = s <= ROUNDING * torch.finfo(s.dtype).eps * s[0]
    return torch.where(null, 0, coordinates / torch.where(null, 1, s))
