"""The bases of one picture at several timesteps, to choose the timestep of an edit."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from . import ddim
from .basis import PullbackBasis
from .local_basis import local_basis
from .models.denoiser import Denoiser
from .models.schedule import NoiseSchedule
from .noisy import NoisyLatent


class BasisAtTimestep(NamedTuple):
    """A basis, and the noisy latent that it belongs to.

    Attributes:
        basis: The directions.
        noisy: One noisy latent, with the noise levels of the way back to the picture.
    """

    basis: PullbackBasis
    noisy: NoisyLatent


def bases_over_time(
    denoiser: Denoiser,
    x0: torch.Tensor,
    timesteps: Sequence[float],
    rank: int,
    *,
    steps: int = 50,
    refine: int = 4,
    progress: Callable[[int, int, float], object] | None = None,
    **options: Any,
) -> list[BasisAtTimestep]:
    """Invert a picture step by step, and compute a basis at each of several timesteps on the way.

    Each search starts from the basis before it. This saves a few products where timesteps are close together.

    Args:
        denoiser: The model and its feature.
        x0: (1, c, h, w), the clean picture in sampler coordinates.
        timesteps: Fractions of T above 0, in any order.
        rank: How many directions to find at each.
        steps: DDIM steps over the whole of T, shared by all timesteps.
        refine: As in `ddim.invert`.
        progress: Called as progress(index of the timestep, products, largest residual).
        **options: As in `local_basis`.

    Returns:
        One result for each timestep, in rising order.

    Raises:
        ValueError: A timestep is outside (0, 1], there is none, two are too close together, or there is more
            than one picture.
    """
    if not timesteps or not all(0 < timestep <= 1 for timestep in timesteps):
        raise ValueError(f"The timesteps are fractions of T, above 0 and at most 1, got {list(timesteps)}.")
    if len(x0) != 1:
        raise ValueError(f"Bases over time belong to one picture, got {len(x0)}.")
    timesteps = sorted(set(timesteps))
    schedules = _sigmas_from_each(denoiser.schedule, timesteps, steps)
    if not (schedules[-1].diff() < 0).all():
        raise ValueError(
            f"Some of the timesteps {timesteps} are one noise level in float32; "
            "leave out those that hardly differ."
        )
    # An inversion can go on from the one before it, unless levels depend on where sampling starts.
    shared = len(schedules) == 1 or not denoiser.depends_on_start(schedules[::-1], x0)
    results: list[BasisAtTimestep] = []
    for index, sigmas in enumerate(schedules):
        start = results[-1] if results else None
        picture = start.noisy if start and shared else x0
        noisy = ddim.invert(denoiser, picture, sigmas, refine=refine)
        report = None if progress is None else partial(progress, index)
        basis = local_basis(
            denoiser, noisy, rank, start=start.basis if start else None, progress=report, **options
        )
        results.append(BasisAtTimestep(basis, noisy))
    return results


def _sigmas_from_each(schedule: NoiseSchedule, timesteps: list[float], steps: int) -> list[torch.Tensor]:
    """The noise levels from each of the rising timesteps to 0; all end with those of the timestep before."""
    schedules, levels = [], torch.zeros(1)
    for before, timestep in pairwise([0.0, *timesteps]):
        part = max(1, round(steps * (timestep - before)))
        levels = torch.cat([schedule.sigmas(part, start=timestep, end=before)[:-1], levels])
        schedules.append(levels)
    return schedules
