"""How far the first order holds: the linear range of directions."""

from collections.abc import Callable

import torch

from ..basis import PullbackBasis
from ..guidance import vectors_of
from ..models.denoiser import Denoiser
from ..noisy import NoisyLatent
from .moves import move
from .ray import Ray
from .seen import PROBE, SeenChange, Way
from .strength import LEVELS, UNIT

LIMIT = 0.3  # the error of the first order at the end of the range, as a share of what it foretells
ROUNDS = 4  # of one evaluation for each way
CLOSE = 0.1  # no further evaluation where the error differs from the limit by at most this share
FARTHEST = 4.0  # the range is not followed beyond this strength, as the first order foretells it


@torch.no_grad()
def linear_range(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    directions: torch.Tensor | PullbackBasis,
    *,
    limit: float = LIMIT,
    levels: int = LEVELS,
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> torch.Tensor:
    """Find up to which strength the predicted picture changes in proportion to the length of a move.

    The range ends where ||x0(z + a v) - x0(z) - a J0 v|| = limit * ||a J0 v|| for the predicted picture x0.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        directions: (d, c, h, w) in network coordinates, or a basis at the same noise level.
        limit: The error at the end of the range, as a share.
        levels: As in `calibrated_lengths`, for telling the strengths.
        batch_size: Moves that are evaluated at once (memory); None runs all.
        progress: Called as progress(rounds done, rounds in all).

    Returns:
        (d, 2) in units of strength (see `strength.UNIT`), both positive: the ends of the range the other way
        (negative strengths) and along the direction. They are measured as strengths of edits are. A direction
        that is still linear at about strength 4 is not followed farther.

    Raises:
        ValueError: There is more than one latent, or a direction does not fit or does nothing to the picture.
    """
    errors = _Errors(denoiser, noisy, directions, batch_size)
    rows = range(len(errors.first_order))
    rays = {way: Ray(limit * slope / UNIT) for row, slope in enumerate(errors.slopes) for way in _ways(row)}
    farthest = {way: FARTHEST * UNIT / errors.slopes[way[0]] for way in rays}
    for done in range(ROUNDS):
        open_ways = [way for way, ray in rays.items() if not _is_found(ray, limit, farthest[way])]
        lengths = [min(rays[way].guess(limit), farthest[way]) for way in open_ways]
        if open_ways:
            for way, length, error in zip(open_ways, lengths, errors.at(open_ways, lengths)):
                rays[way].add(length, error)
        if progress:
            progress(done + 1, ROUNDS + 1)
    ways = list(rays)
    ends = [rays[way].longest_within(limit * (1 + CLOSE)) for way in ways]
    seen = SeenChange(denoiser, noisy, directions, levels=levels, batch_size=batch_size)
    strengths = torch.tensor(seen.changes(ways, ends)) / UNIT
    if progress:
        progress(ROUNDS + 1, ROUNDS + 1)
    return strengths.view(len(rows), 2)


def _is_found(ray: Ray, limit: float, farthest: float) -> bool:
    """Whether the end of a range is known, or lies beyond the farthest length."""
    return ray.knows(limit, CLOSE) or (ray.measured() and ray.longest_within(limit) >= farthest)


def _ways(row: int) -> tuple[Way, Way]:
    """Both ways along a direction, backwards first."""
    return (row, -1.0), (row, 1.0)


class _Errors:
    """How wrong the first order is after a move, as a share of what it foretells.

    Attributes:
        first_order: (d, c, h, w) the derivative of the predicted picture along each direction.
        slopes: Its root mean square for each direction.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        noisy: NoisyLatent,
        directions: torch.Tensor | PullbackBasis,
        batch_size: int | None,
    ) -> None:
        self._denoiser, self._noisy, self._batch_size = denoiser, noisy, batch_size
        self._vectors = vectors_of(directions, noisy)
        self._still = denoiser.denoise(noisy.x, noisy.sigma)
        self.slopes = SeenChange(denoiser, noisy, directions, batch_size=batch_size).slopes()
        if isinstance(directions, PullbackBasis) and directions.knows_pictures():
            self.first_order = directions.picture_changes().to(noisy.x)
        else:
            self.first_order = self._differences()

    def at(self, ways: list[Way], lengths: list[float]) -> list[float]:
        """The error after each of several moves."""
        signed = torch.tensor([sign * length for (_, sign), length in zip(ways, lengths)]).to(self._noisy.x)
        rows = torch.tensor([row for row, _ in ways], device=self._vectors.device)
        foretold = signed.view(-1, 1, 1, 1) * self.first_order[rows.to(self.first_order.device)]
        wrong = self._predicted(rows, signed) - self._still - foretold
        return (wrong.float().flatten(1).norm(dim=1) / foretold.float().flatten(1).norm(dim=1)).tolist()

    def _differences(self) -> torch.Tensor:
        """The derivatives by central differences of short moves."""
        step = PROBE * self._noisy.x.norm().item() / self._denoiser.schedule.scale(self._noisy.sigma)
        rows = torch.arange(len(self._vectors), device=self._vectors.device)
        steps = torch.full((len(rows),), step).to(self._noisy.x)
        return (self._predicted(rows, steps) - self._predicted(rows, -steps)) / (2 * step)

    def _predicted(self, rows: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """The predicted pictures after moves along the directions of these numbers."""
        pictures = []
        size = self._batch_size or len(rows)
        for some, some_lengths in zip(rows.split(size), lengths.split(size)):
            moved = move(self._denoiser, self._noisy, self._vectors[some], some_lengths)
            pictures.append(self._denoiser.denoise(moved.x, moved.sigma))
        return torch.cat(pictures)
