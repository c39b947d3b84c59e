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
    Raises ValueError for a timestep outside (0, 1], none at all, or more than one picture.
    """
    if not timesteps or not all(0 < timestep <= 1 for timestep in timesteps):
        raise ValueError(f"The timesteps are fractions of T, above 0 and at most 1, got {list(timesteps)}.")
    if len(x0) != 1:
        raise ValueError(f"Bases over time belong to one picture, got {len(x0)}.")
    schedule, moments = denoiser.schedule, []
    x, basis, before, levels = x0, None, 0.0, torch.zeros(1)
    for index, timestep in enumerate(sorted(set(timesteps))):
        part = max(1, round(steps * (timestep - before)))
        onward = schedule.sigmas(part, start=timestep, end=before).flip(0)
        x = ddim.invert(denoiser, x, onward, refine=refine)
        levels, before, sigma = torch.cat([levels, onward[1:]]), timestep, schedule.sigma(timestep)
        basis = local_basis(
            denoiser, schedule.to_network(x, sigma), sigma, rank, start=basis,
            progress=progress and (lambda products, residual, index=index: progress(index, products, residual)), **options,
        )
        moments.append(Moment(basis, x, levels.flip(0)))
    return moments
