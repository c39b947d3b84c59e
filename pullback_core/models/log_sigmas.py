"""Noise levels of a discrete schedule: rounded values are spread, and an infinite last one is replaced."""

import math

import numpy as np
import torch

# Replaces a last alphas_cumprod of 0, whose sigma would be infinite. Euler schedulers use the same value.
ZERO_SNR_ALPHA = 2.0**-24
LARGEST_ZERO_SNR_ALPHA = 1e-6
NOT_DECREASING = "alphas_cumprod must be a decreasing list of at least two numbers between 0 and 1."
ROUNDED_STEP = 2.0**-22  # a step of log sigma between timesteps that float32 cannot tell apart
ROUNDING = 1e-5  # rounding alone may make log sigma fall by this much from one timestep to the next


def log_sigmas_of(alphas: torch.Tensor) -> torch.Tensor:
    """Compute log sigma of every timestep.

    Args:
        alphas: (T,) alphas_cumprod, float64.

    Returns:
        (T,) float64, strictly increasing and finite.

    Raises:
        ValueError: alphas do not decrease (beyond rounding), or are not between 0 and 1.
    """
    if alphas.ndim != 1 or len(alphas) < 2:
        raise ValueError(NOT_DECREASING)
    noisy = len(alphas) - _count_zero_snr(alphas)
    if noisy < 1 or not ((alphas[:noisy] > 0) & (alphas[:noisy] < 1)).all():
        raise ValueError(NOT_DECREASING)
    log_sigmas = _log_sigma(alphas)
    log_sigmas[noisy:] = _zero_snr_log_sigmas(log_sigmas[noisy - 1].item(), len(alphas) - noisy)
    if not (log_sigmas.diff() > -ROUNDING).all() or not log_sigmas[0] < log_sigmas[-1]:
        raise ValueError(NOT_DECREASING)
    return _spread_ties(log_sigmas)


def _log_sigma(alphas: torch.Tensor) -> torch.Tensor:
    return 0.5 * torch.log((1 - alphas) / alphas)


def _count_zero_snr(alphas: torch.Tensor) -> int:
    """The number of values at the end that are 0.

    A last value that stands for 0 counts too, if it is larger than the value before.
    """
    zero = alphas == 0
    if 0 < alphas[-1] < LARGEST_ZERO_SNR_ALPHA and alphas[-1] > alphas[-2]:
        zero[-1] = True
    return int(zero.flip(0).cumprod(0).sum())


def _zero_snr_log_sigmas(before: float, count: int) -> torch.Tensor:
    """`count` values of log sigma in place of infinity, after a timestep whose log sigma is `before`."""
    end = _log_sigma(torch.tensor(ZERO_SNR_ALPHA, dtype=torch.float64)).item()
    if end <= before:
        end = before + math.log(2)
    return torch.linspace(before, end, count + 1, dtype=torch.float64)[1:]


def _spread_ties(log_sigmas: torch.Tensor) -> torch.Tensor:
    """The same values where they increase; the others are interpolated between those, by index."""
    highest = log_sigmas.cummax(0).values
    kept = torch.cat([torch.tensor([True]), log_sigmas[1:] > highest[:-1]])
    places, count = torch.arange(len(log_sigmas)), len(log_sigmas)
    ends = log_sigmas[kept][-1] + ROUNDED_STEP * (count - places[kept][-1])
    known = torch.cat([places[kept], torch.tensor([count])])
    values = torch.cat([log_sigmas[kept], ends[None]])
    return torch.from_numpy(np.interp(places.numpy(), known.numpy(), values.numpy()))
