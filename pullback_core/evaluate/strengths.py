"""Does one strength look equally strong everywhere?"""

from typing import Any

from ..directions.strength import UNIT, calibrated_lengths
from . import moves
from .kinds import directions_of
from .point import Point, load_denoiser

WAYS = ("measured", "first order", "one length")


def strengths(point: Point, kind: str) -> dict[str, Any]:
    """The change of the finished picture at strength 1, one way of each direction.

    Args:
        point: The face.
        kind: A key of `KINDS`.

    Returns:
        Lists with one entry for each direction, in units of `UNIT`: "measured", with the lengths of
        `strength.calibrated_lengths`; "first order", with lengths by J0 v alone; "one length", with the mean
        of the calibrated lengths for all directions.
    """
    denoiser, directions = load_denoiser(), directions_of(kind, point)
    lengths = calibrated_lengths(denoiser, point.noisy, directions.v, [1.0]).lengths[:, 0]
    sizes = directions.pictures.flatten(1).square().mean(dim=1).sqrt()
    ways = (lengths, UNIT / sizes, lengths.mean().expand(len(lengths)))
    found = {}
    for name, way in zip(WAYS, ways, strict=True):
        ends = moves.generate(denoiser, point.noisy, way.view(-1, 1, 1, 1) * directions.v)
        change = (ends - point.clean).flatten(1).square().mean(dim=1).sqrt()
        found[name] = (change / UNIT).tolist()
    return found
