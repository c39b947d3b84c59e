"""Strength in units of what is seen: straight moves of such a length that the picture changes by that much.

The unit is a change of the finished picture. Equal lengths along two directions change the picture by very
different amounts. Equal first-order changes do so too: at 0.7 T the final changes then differ by their own
mean (std / mean 1.0), because some parts of a picture flip at once. So the change is measured: on a
generation of few steps, which foretells the change of the finished picture.

The moves are straight. On the bundled faces at 0.5 T, an edit of one size by x-space guidance goes twice as
far, changes more things (share of the strongest attribute 0.32, straight 0.48), and leaves the face more (off
face 0.052, straight 0.039; two faces, eight rotated directions each).
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..basis import PullbackBasis
from ..guidance import vectors_of
from ..models.denoiser import Denoiser
from ..noisy import NoisyLatent
from .moves import move
from .ray import Ray
from .seen import SeenChange, Way

# Strength 1: the root mean square of the change of the finished picture, in sampler coordinates. Latents of
# hosts have about unit variance, and pixels lie in [-1, 1]. On the bundled faces 0.15 is seen at once in all
# directions and leaves the face whole; from 0.2 on, hats and glasses flip.
UNIT = 0.15
# Steps of the generation that measures a change. On the bundled faces the change of the finished picture
# varies around the change so measured (std / mean, 0.5 T and 0.7 T) by 0.11 and 0.35 with one step, 0.05 and
# 0.16 with two, 0.02 and 0.09 with four, 0.01 and 0.05 with eight.
LEVELS = 4
ROUNDS = 4  # at most so many generations for each edit
CLOSE = 0.05  # no further generation where the change differs from the wanted one by at most this share


class Calibrated(NamedTuple):
    """Lengths for strengths.

    Attributes:
        lengths: (d, s) signed lengths of moves in network coordinates, in float32 on the CPU.
        reached: (d, s) the strengths that were measured at these lengths. They differ from those that were
            asked for where the picture jumps from one state to another.
    """

    lengths: torch.Tensor
    reached: torch.Tensor


@torch.no_grad()
def calibrated_lengths(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    directions: torch.Tensor | PullbackBasis,
    strengths: Sequence[float] | torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
    levels: int = LEVELS,
    rounds: int = ROUNDS,
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Calibrated:
    """Find the lengths of straight moves that change the picture by given strengths.

    Strength 1 is `UNIT`, for every direction, time, picture and model. With a mask the mean square of the
    change is taken inside the mask.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        directions: (d, c, h, w) in network coordinates, or a basis at the same noise level. A basis that
            knows what its directions do to the picture saves a probe.
        strengths: s numbers. Negative ones go the other way, and 0 has the length 0.
        mask: (h, w) or broadcastable to x, 1 where the edit may act.
        levels: Steps of the generation that measures a change. 1 measures the predicted picture.
        rounds: At most so many generations for each edit. Edits that came close are not measured again.
        batch_size: Edits that run at once (memory); None runs all.
        progress: Called as progress(rounds done, rounds in all).

    Returns:
        The lengths, and the strengths that they reach.

    Raises:
        ValueError: There is more than one latent, the directions do not fit, a direction does nothing to the
            picture, a strength is not finite, there is no round, or the mask is empty.
    """
    if rounds < 1:
        raise ValueError(f"Lengths take at least one round of measuring, got {rounds}.")
    amounts = torch.as_tensor(strengths, dtype=torch.float64).flatten()
    if not torch.isfinite(amounts).all():
        raise ValueError(f"Strengths are finite numbers, got {amounts.tolist()}.")
    picture = SeenChange(denoiser, noisy, directions, mask, levels, batch_size)
    slopes = picture.slopes()
    ways = [(row, math.copysign(1, amount)) for row in range(len(slopes)) for amount in amounts.tolist()]
    wanted = (UNIT * amounts.abs()).tolist() * len(slopes)
    rays = {way: Ray(slopes[way[0]]) for way in ways}
    for done in range(rounds):
        _measure_once(picture, rays, ways, wanted)
        if progress:
            progress(done + 1, rounds)
    return _chosen(rays, ways, wanted, len(slopes))


def _measure_once(picture: SeenChange, rays: dict[Way, Ray], ways: list[Way], wanted: list[float]) -> None:
    """Measure the changes at the lengths that are guessed for all changes that are not found yet."""
    open_edits = []
    for way, change in zip(ways, wanted):
        if change > 0 and not rays[way].knows(change, CLOSE):
            open_edits.append((way, rays[way].guess(change)))
    if not open_edits:
        return
    measured = picture.changes([way for way, _ in open_edits], [length for _, length in open_edits])
    for (way, length), change in zip(open_edits, measured):
        rays[way].add(length, change)


def _chosen(rays: dict[Way, Ray], ways: list[Way], wanted: list[float], rows: int) -> Calibrated:
    """For each way and wanted change, the measured length that comes nearest."""
    lengths, reached = [], []
    for way, change in zip(ways, wanted):
        length, got = rays[way].nearest(change) if change > 0 else (0.0, 0.0)
        lengths.append(way[1] * length)
        reached.append(way[1] * got / UNIT)
    return Calibrated(torch.tensor(lengths).view(rows, -1), torch.tensor(reached).view(rows, -1))


@torch.no_grad()
def edit_by(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    directions: torch.Tensor | PullbackBasis,
    strengths: Sequence[float] | torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
    levels: int = LEVELS,
    batch_size: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> NoisyLatent:
    """Edit one noisy latent along each of several directions, by strengths in units of what is seen.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        directions: As in `calibrated_lengths`.
        strengths: As in `calibrated_lengths`.
        mask: As in `calibrated_lengths`.
        levels: As in `calibrated_lengths`.
        batch_size: As in `calibrated_lengths`.
        progress: As in `calibrated_lengths`.

    Returns:
        d * s edited latents: all strengths of the first direction, then those of the next.

    Raises:
        ValueError: As in `calibrated_lengths`.
    """
    lengths = calibrated_lengths(
        denoiser,
        noisy,
        directions,
        strengths,
        mask=mask,
        levels=levels,
        batch_size=batch_size,
        progress=progress,
    ).lengths
    vectors = vectors_of(directions, noisy).repeat_interleave(lengths.shape[1], dim=0)
    return move(denoiser, noisy, vectors, lengths.flatten(), mask=mask)
