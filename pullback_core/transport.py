"""Carrying a direction from one noisy latent to another (Park et al. 2023, section 3.4)."""

from dataclasses import replace
from typing import NamedTuple

import torch

from .basis import require_one_origin

MEANINGLESS_ALIGNMENT = 0.3  # below it, what was carried is mostly something else


class Transported(NamedTuple):
    """direction: (c, h, w) of the target, unit length; alignment: in [0, 1], how much of it survived."""

    direction: torch.Tensor
    alignment: float


def parallel_transport(direction, source, target, *, exact=False):
    """Carry a feature-space direction of `source` into the tangent space of `target`.

    direction: an index into source's directions, or a vector of feature space, shaped as one source.u[i].
    source, target: `PullbackBasis` of one feature of one model.
    exact: False projects onto the target's tangent space and takes the same mixture of the target's v, as
        the released code does: V_B^T U_B^T u. True is the exact pullback of the projection,
        V_B^T S_B^-1 U_B^T u, which weighs directions of small singular value more.
    Alignment is ||U_B^T u|| for the unit vector u: near 0, the target has no such direction.
    Returns `Transported`.
    Raises ValueError when the two bases do not belong together, or nothing at all is left.
    """
    if source.u.shape[1:] != target.u.shape[1:]:
        raise ValueError(
            f"The two bases see features of different shape, {tuple(source.u.shape[1:])} and "
            f"{tuple(target.u.shape[1:])}; compute both with one model, one feature and one picture size."
        )
    require_one_origin(source, target)
    if not isinstance(direction, torch.Tensor):
        source.direction(direction)  # refuses an index that is not there
        direction = source.u[direction]
    u = direction.flatten().to(target.u)
    if len(u) != target.u[0].numel():
        raise ValueError(
            f"A direction of shape {tuple(direction.shape)} is not of the features' shape {tuple(target.u.shape[1:])}."
        )
    if not u.norm() > 0:
        raise ValueError("The direction is zero, so there is nothing to carry.")
    coordinates = target.u.flatten(1) @ (u / u.norm())
    alignment = coordinates.norm().clamp(max=1).item()
    if exact:
        null = target.s <= 100 * torch.finfo(target.s.dtype).eps * target.s[0]
        coordinates = torch.where(null, 0, coordinates / torch.where(null, 1, target.s))  # the pseudo-inverse
    carried = torch.einsum("i,ichw->chw", coordinates, target.v)
    if not carried.norm() > 0:
        raise ValueError(
            "The direction is orthogonal to everything in the target's basis; nothing can be carried."
        )
    return Transported(carried / carried.norm(), alignment)


def transported_basis(direction, source, target, *, exact=False):
    """`parallel_transport` as a basis of rank 1 at the target: (`PullbackBasis`, alignment).

    Its s, u and residual say what the target's Jacobian does to the carried direction, as far as the target's
    basis knows it: J v = s u, and how far v is from being a singular vector.
    """
    v, alignment = parallel_transport(direction, source, target, exact=exact)
    coordinates = target.v.flatten(1) @ v.flatten()
    image = coordinates * target.s
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
        search_space=None,
    )
    return basis, alignment
