"""Mixed directions: weighted sums of directions of one or several bases at one noisy latent."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from ..basis import PullbackBasis, are_same_level, require_one_origin
from ..linalg.precision import without_autocast
from .sums import weighted_sums

MIXED = "mixed"  # the kind of such a basis
NOTHING_LEFT = 1e-4  # a mixture that does less than this share of what it did before is rounding
# Squared responses below this share of the largest are not divided by: such directions do nearly the same.
ALIKE = 1e-6

Part = tuple[PullbackBasis, float]


@without_autocast()
def mix(
    parts: Sequence[Part], *, orthogonal_to: PullbackBasis | None = None, name: str = ""
) -> PullbackBasis:
    """Make one direction of several, without evaluating the model.

    Products with a Jacobian are linear, so the s and u of the mixture are exact where those of the parts are.

    Args:
        parts: Bases of rank 1 at one noisy latent, and the weight of each. A weight is the share of a unit
            direction; a negative one goes the other way.
        orthogonal_to: A basis at the same noisy latent. What its directions do is removed from the mixture:
            the mixture becomes v - sum of c_j w_j such that what it does is orthogonal to what each w_j does.
            This is told by the predicted picture where all bases know their changes of it, and by the feature
            otherwise. Orthogonality of the directions themselves is no use to the eye.
        name: The name of the mixture; "" makes one of the weights and names of the parts.

    Returns:
        A basis of rank 1 and of kind "mixed".

    Raises:
        ValueError: There are no parts, a part has more than one direction, the bases do not belong together,
            a weight is not finite, or the mixture is zero or has nothing left.
    """
    _require_parts(parts, orthogonal_to)
    bases = [basis for basis, _ in parts]
    weights = torch.tensor([[float(weight) for _, weight in parts]], dtype=torch.float64)
    kept = [] if orthogonal_to is None else [orthogonal_to]
    everything = _stacked([*bases, *kept])
    if orthogonal_to is not None:
        weights = torch.cat([weights, -_removed(everything, weights, len(bases))], dim=1)
    mixture = weighted_sums(everything, weights, MIXED)
    named = ((basis.name(0) or "unnamed", weight) for basis, weight in parts)
    return replace(
        mixture,
        names=[name or sum_in_words(named)],
        notes="",
        thumbnail=None,
        converged=all(basis.converged for basis in bases),
        search_space=None,
    )


def _removed(everything: PullbackBasis, weights: torch.Tensor, count: int) -> torch.Tensor:
    """How much of each direction to keep is in a mixture of the first `count` directions, (1, k)."""
    if everything.knows_pictures():
        changes = everything.picture_changes()
    else:
        changes = everything.s.view(-1, *[1] * (everything.u.ndim - 1)) * everything.u
    rows = changes.flatten(1).cpu().double()
    mixture, kept = weights @ rows[:count], rows[count:]
    removed = mixture @ kept.T @ torch.linalg.pinv(kept @ kept.T, hermitian=True, rtol=ALIKE)
    left = (mixture - removed @ kept).norm()
    if not left > NOTHING_LEFT * mixture.norm():
        raise ValueError(
            "Nothing is left of the mixture: it does only what it should be orthogonal to; keep fewer "
            "directions, or mix others."
        )
    return removed


def _stacked(bases: Sequence[PullbackBasis]) -> PullbackBasis:
    """All directions of several bases as one basis."""
    first = bases[0]
    known = [basis.pictures.to(first.v) for basis in bases if basis.pictures is not None]
    pictures = torch.cat(known) if len(known) == len(bases) else None
    return replace(
        first,
        v=torch.cat([basis.v.to(first.v) for basis in bases]),
        s=torch.cat([basis.s.to(first.s) for basis in bases]),
        u=torch.cat([basis.u.to(first.u) for basis in bases]),
        residuals=torch.cat([basis.residuals.to(first.residuals) for basis in bases]),
        pictures=pictures,
        names=[],
        search_space=None,
    )


def _require_parts(parts: Sequence[Part], orthogonal_to: PullbackBasis | None) -> None:
    """Refuse parts that are no directions, and bases that do not belong together."""
    if not parts:
        raise ValueError("A mixture needs at least one direction, got none.")
    for basis, weight in parts:
        if basis.rank != 1:
            raise ValueError(
                f"A part of a mixture is one direction, got a basis of {basis.rank}; select one of them."
            )
        if not abs(weight) < float("inf"):
            raise ValueError(f"The weight of a direction is a finite number, got {weight}.")
    first = parts[0][0]
    others = [basis for basis, _ in parts[1:]]
    for other in others if orthogonal_to is None else [*others, orthogonal_to]:
        if other.v.shape[1:] != first.v.shape[1:] or other.u.shape[1:] != first.u.shape[1:]:
            raise ValueError(
                f"The bases differ in size, {tuple(first.v.shape[1:])} and {tuple(other.v.shape[1:])}, or in "
                f"that of the feature, {tuple(first.u.shape[1:])} and {tuple(other.u.shape[1:])}; compute "
                "both at one noisy latent."
            )
        if not are_same_level(first.sigma, other.sigma):
            raise ValueError(
                f"The bases are of different noise levels, {first.sigma:.4g} and {other.sigma:.4g}; "
                "compute all at one noisy latent."
            )
        require_one_origin(first, other)


def sum_in_words(parts: Iterable[tuple[str, float]], form: str = "g") -> str:
    """A weighted sum in words, like "smile - 0.5 beard".

    Args:
        parts: The name and the weight of each part.
        form: The format of weights; a weight of 1 or -1 is not written.

    Returns:
        The text, "" where there is no part.
    """
    text = ""
    for name, weight in parts:
        sign = "-" if weight < 0 else "+"
        size = "" if abs(weight) == 1 else f"{abs(weight):{form}} "
        text += f" {sign} {size}{name}"
    return text.removeprefix(" + ").strip()
