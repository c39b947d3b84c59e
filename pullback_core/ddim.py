"""Deterministic and stochastic DDIM, and its inversion, for every model family.

x is in sampler coordinates (VE, or flow) everywhere here; see `schedule`.
"""

import math
from itertools import pairwise

import torch

from .models.denoiser import along


@torch.no_grad()
def generate(denoiser, x, sigmas, *, eta=0.0, boost_below=0.0, seed=0, progress=None):
    """DDIM from a noisy x along decreasing noise levels (Song et al. 2021, eq. 12 and 16).

    x: (b, c, h, w) in sampler coordinates at sigmas[0]; sigmas: (steps + 1,) decreasing, usually to 0.
    eta: 0 is deterministic (an Euler step of the probability-flow ODE), 1 is ancestral sampling.
    boost_below: a fraction of T; from there on eta is 1, which cleans up an edited picture
        ("quality boosting" of the paper's released code, which uses 0.2).
    seed: of the noise that a positive eta adds; drawn on the CPU, so the same on every device.
    progress: called as progress(x_0 predicted at this step) after each step.
    Returns x at sigmas[-1], (b, c, h, w).
    Raises ValueError for noise levels that do not decrease, or that the model does not have, or eta outside [0, 1].
    """
    sigmas = _levels(sigmas, denoiser.schedule)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is between 0 (deterministic) and 1 (ancestral), got {eta}.")
    if any(later >= earlier for earlier, later in pairwise(sigmas)):
        raise ValueError(f"Generation needs decreasing noise levels, got {_brief(sigmas)}.")
    denoiser = along(denoiser, torch.tensor(sigmas), in_order=True)
    schedule, generator = denoiser.schedule, torch.Generator().manual_seed(seed)
    for sigma, sigma_next in pairwise(sigmas):
        denoised = denoiser.denoise(x, sigma)
        noise = schedule.predicted_noise(x, denoised, sigma)
        alpha, alpha_next = schedule.alpha(sigma), schedule.alpha(sigma_next)
        level = 1.0 if schedule.fraction(sigma) <= boost_below else eta
        # Fresh noise up to the variance of the forward transition from sigma_next to sigma.
        fresh = (
            level * sigma_next / sigma * max(sigma**2 - (alpha / alpha_next * sigma_next) ** 2, 0.0) ** 0.5
        )
        x = alpha_next * denoised + (sigma_next**2 - fresh**2) ** 0.5 * noise
        if fresh > 0:
            x = x + fresh * torch.randn(x.shape, generator=generator).to(x)
        if progress:
            progress(denoised)
    return x


@torch.no_grad()
def invert(denoiser, x0, sigmas, *, refine=0, progress=None, way_back=None):
    """DDIM inversion: the noisy x from which `generate` returns to x0.

    x0: (b, c, h, w) clean; sigmas: (steps + 1,) increasing, usually from 0 (`reversed` levels of `generate`).
    refine: fixed-point corrections of each step. A generation step takes eps at its noisier end, which an
        inversion does not know yet; plain inversion (0, as released with the paper) takes it at the cleaner
        end, and every correction takes it at the newest estimate of the noisier one. Two to four are
        enough to reconstruct a picture without visible error. Guidance above 1 may not converge.
    progress: called as progress(x) after each step.
    way_back: the decreasing levels along which samplers return, where they are more than `sigmas`; see `denoiser.along`.
    Returns x at sigmas[-1], (b, c, h, w) in sampler coordinates; costs (1 + refine) evaluations a step.
    Raises ValueError for noise levels that do not increase, or that the model does not have, or a negative refine.
    """
    sigmas = _levels(sigmas, denoiser.schedule)
    if any(later <= earlier for earlier, later in pairwise(sigmas)):
        raise ValueError(f"Inversion needs increasing noise levels, got {_brief(sigmas)}.")
    if refine < 0:
        raise ValueError(f"refine counts corrections and cannot be negative, got {refine}.")
    denoiser = along(denoiser, torch.tensor(sigmas[::-1]) if way_back is None else way_back)
    x, slope = x0, None
    for sigma, sigma_next in pairwise(sigmas):
        if refine and slope is not None:
            # The last step's noisier end is this one's cleaner end: its slope is there already.
            corrections = refine + 1
        else:
            level = max(sigma, min(denoiser.schedule.sigma_min, sigma_next))
            slope, corrections = (x - denoiser.denoise(x, level)) / level, refine
        for _ in range(corrections):
            guess = x + slope * (sigma_next - sigma)
            slope = (guess - denoiser.denoise(guess, sigma_next)) / sigma_next
        x = x + slope * (sigma_next - sigma)
        if progress:
            progress(x)
    return x


def relative_error(x, reference):
    """||x - reference|| / ||reference||, as a float: the error of a round trip, whatever the latents' scale."""
    return ((x - reference).norm() / reference.norm()).item()


def _levels(sigmas, schedule):
    levels = [float(sigma) for sigma in sigmas]
    if len(levels) < 2 or not all(0 <= level < math.inf for level in levels):
        raise ValueError(
            f"At least two noise levels, finite and not negative, are needed, got {_brief(levels)}; "
            f"the largest of this model is {schedule.sigma_max:.6g}."
        )
    schedule.require_level(max(levels))
    return levels


def _brief(levels):
    shown = levels if len(levels) <= 6 else [*levels[:3], "...", *levels[-2:]]
    return "[" + ", ".join(f"{level:.4g}" if isinstance(level, float) else level for level in shown) + "]"
