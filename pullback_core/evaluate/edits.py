"""Edits along the first directions of a kind: at equal change of the picture, and at equal length."""

from typing import Any

import torch

from .. import faces
from . import measures, moves
from .kinds import Directions, directions_of
from .point import Point, load_denoiser, load_regressor

EQUAL_STRENGTH = 16.0  # repetitions times strength of x-space guidance: 16 times 1, the default of an edit


def straight_edits(point: Point, kind: str) -> dict[str, Any]:
    """Measure straight moves along the directions of a kind.

    Args:
        point: The face.
        kind: A key of `KINDS`.

    Returns:
        {"equal_change": rows, "equal_length": rows}, see `measure`.
    """
    settings = point.store.settings
    directions = directions_of(kind, point)
    paths = moves.straight_path(torch.cat([directions.v, -directions.v]))
    first = settings.change / _size(directions.pictures)
    moved = moves.equal_change(load_denoiser(), point.noisy, paths, settings.change, first)
    length = torch.full((2 * len(directions.v),), settings.length * point.norm)
    far = moves.displacement(paths, length)
    return {
        "equal_change": measure(point, moved, directions),
        "equal_length": measure(point, far, directions, steps=moves.COARSE_STEPS),
    }


def guided_edits(point: Point, kind: str) -> dict[str, Any]:
    """Measure x-space guidance along the directions of a kind, at equal change.

    A move of guidance is its path, followed as far as the picture changes by the given amount.

    Args:
        point: The face.
        kind: A key of `KINDS`.

    Returns:
        {"equal_change": rows}, see `measure`.
    """
    settings = point.store.settings
    directions = Directions(*(part[: settings.guided] for part in directions_of(kind, point)))
    steps = settings.guidance_steps
    both = torch.cat([directions.v, -directions.v])
    paths = moves.guided_path(load_denoiser(), point.noisy, both, steps, EQUAL_STRENGTH / steps)
    first = torch.full((len(directions.v),), float(steps))
    moved = moves.equal_change(load_denoiser(), point.noisy, paths, settings.change, first)
    return {"equal_change": measure(point, moved, directions)}


def measure(
    point: Point, displacements: torch.Tensor, directions: Directions, *, steps: int | None = None
) -> dict[str, Any]:
    """Measure both ends of edits along directions.

    Args:
        point: The face.
        displacements: (2 k, c, h, w) in network coordinates, first all of one way, then all of the other.
        directions: The k directions.
        steps: At most so many steps of each generation; None takes all.

    Returns:
        Lists of k: "change" (22 attributes each, in standard deviations over faces), "off_face", "length" (of
        one way, as a share of the norm of the latent), "got" (the change of the picture, `half_change`) and
        "preview" (the cosine of that change with the one that J0 v foretells).
    """
    ends = point.generate(displacements, steps=steps)
    pictures = faces.decode_latent(ends).clamp(-1, 1)
    regressor = load_regressor()
    plus, minus = pictures.chunk(2)
    off_face = measures.off_face(regressor, pictures).unflatten(0, (2, -1)).mean(dim=0)
    lengths = displacements.flatten(1).norm(dim=1).unflatten(0, (2, -1)).mean(dim=0)
    foretold = torch.cat([directions.pictures, -directions.pictures])
    changed = (ends - point.clean).flatten(1)
    preview = torch.cosine_similarity(changed, foretold.flatten(1)).unflatten(0, (2, -1)).mean(dim=0)
    rows = {
        "change": measures.attribute_change(regressor, plus, minus),
        "off_face": off_face,
        "length": lengths / point.norm,
        "got": moves.half_change(ends),
        "preview": preview,
    }
    return {name: values.tolist() for name, values in rows.items()}


def _size(pictures: torch.Tensor) -> torch.Tensor:
    """The root mean square of changes of the picture (k, c, h, w): (k,)."""
    return pictures.flatten(1).square().mean(dim=1).sqrt().clamp(min=1e-9)
