"""Do the directions of a basis come again? After rounding, from another seed, after another inversion."""

from typing import Any

import torch

from .kinds import KINDS, Directions
from .point import Point, Search

OTHER_SEED = 1
OTHER_REFINE = 4  # fixed-point corrections of the other inversion
VARIANTS = ("rounding", "seed", "refine")


def repeats(point: Point, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Compare the directions of a point with those of nearly the same point.

    Args:
        point: The face.
        kinds: Keys of `KINDS` that have a basis.

    Returns:
        {kind: {variant: numbers}}, see `compare`. The variants are the picture rounded to 8 bits, another
        seed of the search, and another `refine` of the inversion.

    Raises:
        ValueError: A kind has no basis.
    """
    store, face, timestep = point.store, point.face, point.timestep
    rounded = Point(store, face, timestep, rounded=True)
    refined = Point(store, face, timestep, refine=OTHER_REFINE)
    found: dict[str, Any] = {}
    count = store.settings.shown
    for name in kinds:
        search, rotated = KINDS[name].search, KINDS[name].rotated
        if search is None:
            raise ValueError(f"The kind {name!r} has no basis whose directions could come again.")
        again = Search(search.feature, search.averaged, OTHER_SEED)
        own = _all(point, search, rotated)
        found[name] = {
            "rounding": compare(own, _all(rounded, search, rotated), count),
            "seed": compare(own, _all(point, again, rotated), count),
            "refine": compare(own, _all(refined, search, rotated), count),
        }
    return found


def _all(point: Point, search: Search, rotated: bool) -> Directions:
    basis = point.basis(search, rotated=rotated)
    return Directions(basis.v, basis.picture_changes())


def compare(own: Directions, other: Directions, count: int) -> dict[str, float]:
    """How well the first directions come again.

    Args:
        own: The directions of a point.
        other: Those of nearly the same point.
        count: How many directions are first.

    Returns:
        "span": the mean squared cosine of the principal angles between the spans of the first directions, in
        latent space. "direction": the largest cosine of what a direction does to the picture with that of any
        other direction, with its sign, as a mean over the first directions. "place": the mean cosine with the
        direction in the same place.
    """
    one, two = _orthonormal_columns(own.v[:count]), _orthonormal_columns(other.v[:count])
    cosines = _unit_rows(own.pictures[:count]) @ _unit_rows(other.pictures).T
    return {
        "span": ((one.T @ two).square().sum() / one.shape[1]).item(),
        "direction": cosines.amax(dim=1).mean().item(),
        "place": cosines.diagonal().mean().item(),
    }


def _orthonormal_columns(vectors: torch.Tensor) -> torch.Tensor:
    """An orthonormal basis of the span of vectors (k, c, h, w), as columns."""
    return torch.linalg.qr(vectors.flatten(1).T)[0]


def _unit_rows(pictures: torch.Tensor) -> torch.Tensor:
    rows = pictures.flatten(1)
    return rows / rows.norm(dim=1, keepdim=True).clamp(min=1e-12)
