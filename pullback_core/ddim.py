"""Deterministic and stochastic DDIM, and its inversion, for every family of models.

x is in sampler coordinates (VE, or flow) everywhere here; see `models.schedule`.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch

from .models.denoiser import Denoiser
from .models.schedule import NoiseSchedule
from .noisy import NoisyLatent


@torch.no_grad()
def generate(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    *,
    eta: float = 0.0,
    boost_below: float = 0.0,
    seed: int = 0,
    progress: Callable[[torch.Tensor], object] | None = None,
) -> torch.Tensor:
    """Sample along the noise levels of a noisy latent (Song et al. 2021, equations 12 and 16).

    Args:
        denoiser: The model.
        noisy: Where to start, and the decreasing noise levels, usually to 0.
        eta: 0 is deterministic (an Euler step of the probability-flow ODE), 1 is ancestral sampling.
        boost_below: A fraction of T. From there on eta is 1, which cleans up an edited picture ("quality
            boosting" of the paper's released code, which uses 0.2).
        seed: The seed of the noise that a positive eta adds. It is drawn on the CPU, so it is the same on
            every device.
        progress: Called as progress(x_0 predicted at this step) after each step.

    Returns:
        x at the last noise level, (b, c, h, w).

    Raises:
        ValueError: The noise levels do not decrease, the model does not have them, or eta is not in [0, 1].
    """
    sigmas = _checked_sigmas(noisy.sigmas, denoiser.schedule)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta is between 0 (deterministic) and 1 (ancestral), got {eta}.")
    denoiser = denoiser.along(torch.tensor(sigmas), in_order=True)
    schedule, generator, x = denoiser.schedule, torch.Generator().manual_seed(seed), noisy.x
    for sigma, sigma_next in pairwise(sigmas):
        denoised = denoiser.denoise(x, sigma)
        noise = schedule.predicted_noise(x, denoised, sigma)
        alpha, alpha_next = schedule.alpha(sigma), schedule.alpha(sigma_next)
        level = 1.0 if schedule.fraction(sigma) <= boost_below else eta
        # Fresh noise up to the variance of the forward transition from sigma_next to sigma.
        variance = max(sigma**2 - (alpha / alpha_next * sigma_next) ** 2, 0.0)
        fresh = level * sigma_next / sigma * variance**0.5
        x = alpha_next * denoised + (sigma_next**2 - fresh**2) ** 0.5 * noise
        if fresh > 0:
            x = x + fresh * torch.randn(x.shape, generator=generator).to(x)
        if progress:
            progress(denoised)
    return x


@torch.no_grad()
def invert(
    denoiser: Denoiser,
    picture: torch.Tensor | NoisyLatent,
    sigmas: torch.Tensor,
    *,
    refine: int = 0,
    progress: Callable[[NoisyLatent], object] | None = None,
) -> NoisyLatent:
    """Find the noisy latent from which `generate` returns to a picture: DDIM inversion.

    Args:
        denoiser: The model.
        picture: The clean picture x_0, (b, c, h, w). Or a noisy latent whose noise levels are the end of
            `sigmas`: the inversion then goes on from there.
        sigmas: (steps + 1,) decreasing noise levels, the way back from the noisy latent to the picture.
        refine: Fixed-point corrections of each step. A generation step takes eps at its noisier end, which
            an inversion does not know yet. Plain inversion (0, as released with the paper) takes eps at the
            cleaner end. Every correction takes it at the newest estimate of the noisier end. Two to four are
            enough to reconstruct a picture without visible error. With guidance above 1 they may diverge.
        progress: Called as progress(noisy) after each step, with the noisy latent so far.

    Returns:
        The noisy latent with the noise levels `sigmas`. It costs (1 + refine) evaluations for each step.

    Raises:
        ValueError: The noise levels do not decrease, or the model does not have them, or refine is negative,
            or the noisy latent is not on the way.
    """
    levels = _checked_sigmas(sigmas, denoiser.schedule)
    if refine < 0:
        raise ValueError(f"refine counts corrections and cannot be negative, got {refine}.")
    x, steps = _start_of_inversion(picture, levels)
    sigmas = torch.as_tensor(sigmas)
    denoiser = denoiser.along(sigmas)
    slope = None
    for left in range(steps, 0, -1):
        sigma, sigma_next = levels[left], levels[left - 1]
        if refine and slope is not None:
            # The noisier end of the last step is the cleaner end of this one, so its slope is known.
            corrections = refine + 1
        else:
            level = max(sigma, min(denoiser.schedule.sigma_min, sigma_next))
            slope, corrections = (x - denoiser.denoise(x, level)) / level, refine
        for _ in range(corrections):
            guess = x + slope * (sigma_next - sigma)
            slope = (guess - denoiser.denoise(guess, sigma_next)) / sigma_next
        x = x + slope * (sigma_next - sigma)
        if progress:
            progress(NoisyLatent(x, sigmas[left - 1 :]))
    return NoisyLatent(x, sigmas)


def _start_of_inversion(picture: torch.Tensor | NoisyLatent, levels: list[float]) -> tuple[torch.Tensor, int]:
    """(x, the number of steps that are left) of an inversion."""
    if not isinstance(picture, NoisyLatent):
        return picture, len(levels) - 1
    done = [float(level) for level in picture.sigmas]
    if len(done) >= len(levels) or done != levels[-len(done) :]:
        raise ValueError(
            f"The inversion goes on from a noisy latent on its own way, whose noise levels end with "
            f"{_brief(done)}, got {_brief(levels)}."
        )
    return picture.x, len(levels) - len(done)


def relative_error(x: torch.Tensor, reference: torch.Tensor) -> float:
    """||x - reference|| / ||reference||: the error of a round trip, whatever the scale of the latents."""
    return ((x - reference).norm() / reference.norm()).item()


def _checked_sigmas(sigmas: torch.Tensor, schedule: NoiseSchedule) -> list[float]:
    """Decreasing noise levels that the model has, as floats."""
    levels = [float(sigma) for sigma in sigmas]
    if len(levels) < 2 or not all(0 <= level < math.inf for level in levels):
        raise ValueError(
            f"At least two noise levels, finite and not negative, are needed, got {_brief(levels)}; "
            f"the largest of this model is {schedule.sigma_max:.6g}."
        )
    if any(later >= earlier for earlier, later in pairwise(levels)):
        raise ValueError(
            f"Noise levels must decrease from the noisy latent to the picture, got {_brief(levels)}."
        )
    schedule.require_level(levels[0])
    return levels


def _brief(levels: list[float]) -> str:
    texts = [f"{level:.4g}" for level in levels]
    if len(texts) > 6:
        texts = [*texts[:3], "...", *texts[-2:]]
    return "[" + ", ".join(texts) + "]"
