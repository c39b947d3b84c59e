"""The core's DDIM generation as a SAMPLER of the host."""

from types import SimpleNamespace

import comfy.samplers

from ...pullback_core import ddim
from .denoiser import schedule_in


def quality_boost_sampler(boost_below, eta):
    """A SAMPLER: DDIM that adds fresh noise (eta 1) below a fraction of T, and `eta` above it."""
    return comfy.samplers.KSAMPLER(_sample, extra_options={"boost_below": boost_below, "eta": eta})


def _sample(model, x, sigmas, extra_args=None, callback=None, disable=None, *, boost_below, eta):
    extra_args = extra_args or {}
    step = iter(range(len(sigmas)))

    def report(denoised):
        index = next(step)
        if callback:
            callback({"i": index, "denoised": denoised, "x": denoised, "sigma": sigmas[index], "sigma_hat": sigmas[index]})

    denoiser = SimpleNamespace(
        schedule=schedule_in(model.inner_model.inner_model.model_sampling),
        denoise=lambda x, sigma: model(x, x.new_full((len(x),), sigma), **extra_args),
    )
    return ddim.generate(
        denoiser, x, sigmas, eta=eta, boost_below=boost_below, seed=extra_args.get("seed") or 0, progress=report
    )
