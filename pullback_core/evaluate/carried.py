"""Directions that are carried from other faces: do they make the same change here?"""

from typing import Any

import torch

from .. import faces
from ..basis import PullbackBasis
from ..transport import parallel_transport
from . import measures, moves
from .kinds import KINDS
from .point import Point, load_denoiser, load_regressor


def own_changes(point: Point, kind: str) -> dict[str, Any]:
    """The changes of the attributes along the directions of a face that are carried to others.

    Args:
        point: The face.
        kind: A key of `KINDS` that has a basis.

    Returns:
        {"change": a list of 22 numbers for each direction}.
    """
    basis = _basis(point, kind)
    count = point.store.settings.carried
    changes = _changes(point, basis.v[:count], basis.picture_changes()[:count])
    return {"change": changes.tolist()}


def carried_changes(point: Point, kind: str, sources: list[int]) -> dict[str, Any]:
    """The changes of the attributes along directions that are carried here.

    Args:
        point: The face to which they are carried.
        kind: A key of `KINDS` that has a basis.
        sources: The faces that they come from.

    Returns:
        {"source", "direction", "alignment", "change"}, each a list with one entry for each carried direction.
    """
    target = _basis(point, kind)
    found: dict[str, list] = {"source": [], "direction": [], "alignment": []}
    directions = []
    for face in sources:
        source = _basis(Point(point.store, face, point.timestep), kind)
        for index in range(min(point.store.settings.carried, source.rank)):
            moved = parallel_transport(index, source, target)
            directions.append(moved.direction)
            found["source"].append(face)
            found["direction"].append(index)
            found["alignment"].append(moved.alignment)
    v = torch.stack(directions)
    changes = _changes(point, v, _known_pictures(target, v))
    return {**found, "change": changes.tolist()}


def _basis(point: Point, kind: str) -> PullbackBasis:
    search, rotated = KINDS[kind].search, KINDS[kind].rotated
    if search is None:
        raise ValueError(f"The kind {kind!r} has no basis that could carry directions.")
    return point.basis(search, rotated=rotated)


def _known_pictures(basis: PullbackBasis, v: torch.Tensor) -> torch.Tensor:
    """J0 v of directions v (k, c, h, w) in the span of a basis, which knows it."""
    weights = torch.linalg.lstsq(basis.v.flatten(1).T, v.flatten(1).T).solution
    return torch.einsum("ik,ichw->kchw", weights, basis.picture_changes())


def _changes(point: Point, v: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
    """The changes (k, 22) of the attributes between both ends of moves along v (k, c, h, w).

    The moves are as long as the predicted picture needs for the change of the settings.
    """
    sizes = pictures.flatten(1).square().mean(dim=1).sqrt().clamp(min=1e-9)
    lengths = (point.store.settings.change / sizes).view(-1, 1, 1, 1)
    ends = moves.generate(
        load_denoiser(), point.noisy, torch.cat([lengths * v, -lengths * v]), steps=moves.COARSE_STEPS
    )
    plus, minus = faces.decode_latent(ends).clamp(-1, 1).chunk(2)
    return measures.attribute_change(load_regressor(), plus, minus)
