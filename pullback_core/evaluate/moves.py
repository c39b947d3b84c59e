"""Moves of a noisy latent: as far as the picture changes by a given amount, or by a given length.

A path says where a move leads: (b, points, c, h, w) displacements in network coordinates, the first of them
0. An amount is a place on the path, counted in points. Between points the path is straight, and behind its
end it goes on as it went last. A straight move is a path of two points.
"""

import torch

from .. import ddim
from ..guidance import edit
from ..models.denoiser import Denoiser
from ..noisy import NoisyLatent

COARSE_STEPS = 3  # of a generation that only tells how far the picture changes
ROUNDS = 2  # of coarse generations, before the move that counts
LARGEST_FACTOR = 4.0  # by which one round lengthens or shortens a move


def straight_path(directions: torch.Tensor) -> torch.Tensor:
    """The path of a straight move: (b, c, h, w) -> (b, 2, c, h, w)."""
    return torch.stack([torch.zeros_like(directions), directions], dim=1)


def guided_path(
    denoiser: Denoiser, noisy: NoisyLatent, directions: torch.Tensor, steps: int, strength: float
) -> torch.Tensor:
    """The path of x-space guidance.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        directions: (b, c, h, w) in network coordinates.
        steps: Repetitions of the guidance.
        strength: As in `guidance.edit`.

    Returns:
        (b, steps + 1, c, h, w).
    """
    copies = noisy.with_x(noisy.x.expand(len(directions), -1, -1, -1))
    points = [copies.x]

    def keep(reached: NoisyLatent) -> None:
        points.append(reached.x)

    edit(denoiser, copies, directions, strength=strength, steps=steps, progress=keep)
    return (torch.stack(points, dim=1) - noisy.x) / denoiser.schedule.scale(noisy.sigma)


def displacement(path: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
    """The places on paths (b, points, c, h, w) at amounts (b,), not negative: (b, c, h, w)."""
    last = path.shape[1] - 1
    before = amounts.floor().long().clamp(max=last - 1)
    rows = torch.arange(len(path))
    start, end = path[rows, before], path[rows, before + 1]
    return start + (amounts - before).view(-1, 1, 1, 1) * (end - start)


def generate(
    denoiser: Denoiser, noisy: NoisyLatent, displacements: torch.Tensor, *, steps: int | None = None
) -> torch.Tensor:
    """Move a noisy latent, and sample it to the end.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        displacements: (b, c, h, w) in network coordinates.
        steps: At most so many steps, out of those of the latent; None takes all.

    Returns:
        (b, c, h, w) the clean latents.
    """
    moved = noisy.x + denoiser.schedule.scale(noisy.sigma) * displacements
    sigmas = noisy.sigmas
    if steps is not None and len(sigmas) - 1 > steps:
        sigmas = sigmas[torch.linspace(0, len(sigmas) - 1, steps + 1).round().long()]
    return ddim.generate(denoiser, NoisyLatent(moved, sigmas))


def half_change(ends: torch.Tensor) -> torch.Tensor:
    """Half the root mean square difference of two ends: (2 b, ...), first all of one way -> (b,)."""
    plus, minus = ends.chunk(2)
    return (plus - minus).flatten(1).square().mean(dim=1).sqrt() / 2


def equal_change(
    denoiser: Denoiser, noisy: NoisyLatent, paths: torch.Tensor, change: float, first: torch.Tensor
) -> torch.Tensor:
    """Find how far to go on paths so that the picture changes by a given amount.

    Both ways of a direction go equally far. The search is a secant on the logarithms of amount and change,
    with coarse generations.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        paths: (2 b, points, c, h, w), first all of one way, then all of the other.
        change: The wanted change, see `half_change`.
        first: (b,) the amounts to start from, above 0.

    Returns:
        (2 b, c, h, w) displacements.
    """
    amounts, power = first, torch.ones_like(first)
    known: list[tuple[torch.Tensor, torch.Tensor]] = []
    for _ in range(ROUNDS):
        ends = generate(denoiser, noisy, displacement(paths, amounts.repeat(2)), steps=COARSE_STEPS)
        reached = half_change(ends).clamp(min=1e-9)
        if known:
            power = _power(known[-1], (amounts, reached))
        known.append((amounts, reached))
        factor = (change / reached).pow(1 / power).clamp(1 / LARGEST_FACTOR, LARGEST_FACTOR)
        amounts = amounts * factor
    return displacement(paths, amounts.repeat(2))


def _power(one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """The power by which the change grows with the amount between two measurements, in [0.3, 2]."""
    amounts = (other[0] / one[0]).log()
    changes = (other[1] / one[1]).log()
    moved = amounts.abs() > 1e-3
    power = changes / torch.where(moved, amounts, 1.0)
    return torch.where(moved, power, 1.0).clamp(0.3, 2.0)
