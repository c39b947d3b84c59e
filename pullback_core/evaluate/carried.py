"""Directions that are carried from other faces: do they make the same change here?"""

from typing import Any, NamedTuple

import torch

from .. import faces
from ..basis import PullbackBasis
from ..transport import transported_basis
from . import measures, moves
from .kinds import KINDS
from .point import Point, load_denoiser, load_regressor


class Carrying(NamedTuple):
    """A way to carry directions.

    Attributes:
        kind: A key of `KINDS` that has a basis.
        method: As in `transport.parallel_transport`.
    """

    kind: str
    method: str


CARRYING = {
    "h": Carrying("h", "released"),
    "h_rotated": Carrying("h_rotated", "released"),
    "h_averaged": Carrying("h_averaged", "released"),
    "picture": Carrying("picture", "exact"),
    "picture_rotated": Carrying("picture_rotated", "fitted"),
    "picture_rotated_released": Carrying("picture_rotated", "released"),
    "picture_averaged": Carrying("picture_averaged", "exact"),
    "picture_averaged_rotated": Carrying("picture_averaged_rotated", "fitted"),
}


def carried_changes(point: Point, name: str, sources: tuple[int, ...]) -> dict[str, Any]:
    """The changes of the attributes along directions that are carried here.

    Args:
        point: The face to which they are carried.
        name: A key of `CARRYING`.
        sources: The faces that they come from.

    Returns:
        {"source", "direction", "alignment", "change"}, each a list with one entry for each carried direction.
    """
    kind, method = CARRYING[name]
    target = _basis(point, kind)
    found: dict[str, list] = {"source": [], "direction": [], "alignment": []}
    directions, pictures = [], []
    for face in sources:
        source = _basis(Point(point.store, face, point.timestep), kind)
        for index in range(min(point.store.settings.carried, source.rank)):
            basis, alignment = transported_basis(index, source, target, method=method)
            directions.append(basis.v)
            pictures.append(_pictures(basis, target))
            found["source"].append(face)
            found["direction"].append(index)
            found["alignment"].append(alignment)
    changes = _changes(point, torch.cat(directions), torch.cat(pictures))
    return {**found, "change": changes.tolist()}


def _basis(point: Point, kind: str) -> PullbackBasis:
    search, rotated = KINDS[kind].search, KINDS[kind].rotated
    if search is None:
        raise ValueError(f"The kind {kind!r} has no basis that could carry directions.")
    return point.basis(search, rotated=rotated)


def _pictures(carried: PullbackBasis, target: PullbackBasis) -> torch.Tensor:
    """J0 v of a carried direction, (1, c, h, w), as far as the target knows it."""
    if carried.knows_pictures():
        return carried.picture_changes()
    weights = torch.linalg.lstsq(target.v.flatten(1).T, carried.v.flatten(1).T).solution
    return torch.einsum("ik,ichw->kchw", weights, target.picture_changes())


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
