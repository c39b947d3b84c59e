"""The core's DDIM generation as a SAMPLER of the host."""

from types import SimpleNamespace

import comfy.samplers
import torch

from ...pullback_core import ddim
from ...pullback_core.pictures import lacks_noise
from .denoiser import schedule_in


def quality_boost_sampler(boost_below, eta, parts=()):
    """A SAMPLER: DDIM that adds fresh noise (eta 1) below a fraction of T, and `eta` above it. parts: what it keeps, see `keeping`."""
    return comfy.samplers.KSAMPLER(_sample, extra_options={"boost_below": boost_below, "eta": eta, "parts": parts})


def keeping(denoiser, parts):
    """A denoiser that predicts the picture itself wherever a mask keeps it, so that a sampler arrives at it there.

    parts: one for each picture, as `kept_parts` gives them; a batch may hold several samples of each, one after another.
    Raises ValueError for another number or size of pictures than the batch's.
    """
    if not any(parts):
        return denoiser

    def denoise(x, sigma):
        denoised = denoiser.denoise(x, sigma)
        if len(x) % len(parts):
            raise ValueError(
                f"The sampler keeps parts of {len(parts)} pictures and got {len(x)}; connect the same LATENT to both of them."
            )
        results = denoised.chunk(len(parts))
        return torch.cat([result if part is None else _keep(result, *part) for result, part in zip(results, parts)])

    return SimpleNamespace(schedule=denoiser.schedule, denoise=denoise)


def _keep(denoised, clean, mask):
    """denoised (b, c, h, w) or (b, c, 1, h, w) where mask (1, h, w) is 1, and clean (c, h, w) where it is 0."""
    if denoised.ndim == 5:
        clean, mask = clean.unsqueeze(1), mask.unsqueeze(1)
    if clean.shape != denoised.shape[1:] or mask.shape[1:] != clean.shape[1:]:
        raise ValueError(
            f"The sampler keeps parts of pictures of shape {tuple(clean.shape)} and got {tuple(denoised.shape[1:])}; "
            "connect the same LATENT to both of them."
        )
    return torch.lerp(clean.to(denoised), denoised, mask.to(denoised))


def _sample(model, x, sigmas, extra_args=None, callback=None, disable=None, *, boost_below, eta, parts=()):
    extra_args = dict(extra_args or {})
    schedule = schedule_in(model.inner_model.inner_model.model_sampling)
    if any(parts):
        extra_args["denoise_mask"] = None  # the host would keep what is in the noisy LATENT
    else:
        _refuse_kept_noise(schedule, model, x, float(sigmas[0]), extra_args.get("denoise_mask"))
    step = iter(range(len(sigmas)))

    def report(denoised):
        index = next(step)
        if callback:
            callback({"i": index, "denoised": denoised, "x": denoised, "sigma": sigmas[index], "sigma_hat": sigmas[index]})

    denoiser = SimpleNamespace(
        schedule=schedule,
        denoise=lambda x, sigma: model(x, x.new_full((len(x),), sigma), **extra_args),
    )
    return ddim.generate(
        keeping(denoiser, parts), x, sigmas, eta=eta, boost_below=boost_below, seed=extra_args.get("seed") or 0, progress=report
    )


def _refuse_kept_noise(schedule, model, x, sigma, mask):
    """Refuse a noise mask on a noisy LATENT: the host would keep the noise below it. x: where the sampler starts, at sigma."""
    if mask is None or not (mask < 1).any() or model.noise.any():
        return
    if not all(lacks_noise(x.squeeze(2) if x.ndim == 5 else x, sigma, schedule.alpha(sigma))):
        raise ValueError(
            "The latent has noise in it and a noise mask, so the sampler would keep the noise; set the mask before DDIM Invert, "
            "or connect the LATENT to the Quality Boost Sampler too."
        )
