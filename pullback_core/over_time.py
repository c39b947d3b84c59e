"""One picture's bases at several timesteps, for the question at which of them to edit."""

from typing import NamedTuple

import torch

from . import ddim
from .basis import PullbackBasis, local_basis


class Moment(NamedTuple):
    """x: (1, c, h, w) in sampler coordinates (VE or flow) at sigmas[0]; sigmas: the way back to 0, for `ddim.generate`."""

    basis: PullbackBasis
    x: torch.Tensor
    sigmas: torch.Tensor


def bases_over_time(denoiser, x0, timesteps, rank, *, steps=50, refine=4, progress=None, **options):
    """Invert a picture step by step, and compute a basis at each of several timesteps on the way.

    Each search starts from the basis before it, which saves a few products where timesteps lie near each other.
    x0: (1, c, h, w) clean, in sampler coordinates; timesteps: fractions of T above 0, in any order.
    steps: DDIM steps over the whole of T, shared by all timesteps; refine: as in `ddim.invert`.
    progress: called as progress(index of the timestep, products, largest residual); options: as in `local_basis`.
    Returns one `Moment` for each timestep, in rising order.
    Raises ValueError for a timestep outside (0, 1], none at all, timesteps too near each other, or more than one picture.
    """
    if not timesteps or not all(0 < timestep <= 1 for timestep in timesteps):
        raise ValueError(f"The timesteps are fractions of T, above 0 and at most 1, got {list(timesteps)}.")
    if len(x0) != 1:
        raise ValueError(f"Bases over time belong to one picture, got {len(x0)}.")
    schedule, moments = denoiser.schedule, []
    timesteps = sorted(set(timesteps))
    ways = _ways_back(schedule, timesteps, steps)
    if not (ways[-1].diff() < 0).all():
        raise ValueError(
            f"Some of the timesteps {timesteps} are one noise level in float32; leave out those that hardly differ."
        )
    # A host's objects may meet a level in another state where a sampler starts elsewhere: then no part of an inversion is shared.
    anew = (
        len(ways) > 1 and hasattr(denoiser, "depends_on_start") and denoiser.depends_on_start(ways[::-1], x0)
    )
    x, basis, done = x0, None, 1
    for index, (timestep, way) in enumerate(zip(timesteps, ways)):
        onward = way.flip(0)
        x = (
            ddim.invert(denoiser, x0, onward, refine=refine)
            if anew
            else ddim.invert(denoiser, x, onward[done - 1 :], refine=refine, way_back=way)
        )
        done, sigma = len(onward), schedule.sigma(timestep)
        basis = local_basis(
            denoiser,
            schedule.to_network(x, sigma),
            sigma,
            rank,
            start=basis,
            progress=progress
            and (lambda products, residual, index=index: progress(index, products, residual)),
            **options,
        )
        moments.append(Moment(basis, x, way))
    return moments


def _ways_back(schedule, timesteps, steps):
    """The noise levels from each of some rising timesteps to 0; each way ends with the one before it."""
    ways, before, levels = [], 0.0, torch.zeros(1)
    for timestep in timesteps:
        part = max(1, round(steps * (timestep - before)))
        levels, before = torch.cat([schedule.sigmas(part, start=timestep, end=before)[:-1], levels]), timestep
        ways.append(levels)
    return ways
