"""The core's DDIM generation as a SAMPLER of the host."""

import comfy.samplers

from ...pullback_core import NoisyLatent, ddim
from ...pullback_core.models.denoiser import Denoiser
from ...pullback_core.noisy import lacks_noise
from .masks import MaskedDenoiser
from .schedules import schedule_in


def quality_boost_sampler(boost_below, eta, parts=()):
    """DDIM with fresh noise near the end, as a SAMPLER.

    Args:
        boost_below: A fraction of T. From there on, every step adds fresh noise (eta 1).
        eta: How much fresh noise the steps before that add.
        parts: What the sampler keeps of each picture, see `kept_parts`.
    """
    options = {"boost_below": boost_below, "eta": eta, "parts": parts}
    return comfy.samplers.KSAMPLER(_sample, extra_options=options)


class _SampledModel(Denoiser):
    """The model that a sampler of the host is given.

    Args:
        model: Called as model(x, sigmas of each sample, **extra_args), gives the predicted pictures.
        x: The host's samples, (b, c, ..., h, w). The core gets them as (b, c, rows, w).
        extra_args: As the host gives them to a sampler.
    """

    provenance = {}

    def __init__(self, model, x, extra_args):
        self.schedule = schedule_in(model.inner_model.inner_model.model_sampling)
        self._model, self._shape, self._extra_args = model, x.shape, extra_args

    def to_core(self, x):
        return x.reshape(*self._shape[:2], -1, self._shape[-1])

    def to_host(self, x):
        return x.reshape(self._shape)

    def denoise(self, x, sigma):
        return self.to_core(self._model(self.to_host(x), x.new_full((len(x),), sigma), **self._extra_args))

    def encode(self, x, sigma):
        raise NotImplementedError("A sampler of the host reads no features.")


def _sample(model, x, sigmas, extra_args=None, callback=None, disable=None, *, boost_below, eta, parts=()):
    """The sampler's function, with the parameters that KSAMPLER gives it."""
    extra_args = dict(extra_args or {})
    mask = extra_args.get("denoise_mask")
    if any(parts):
        extra_args["denoise_mask"] = None  # with a mask, the host would keep what is in the noisy LATENT
    denoiser = _SampledModel(model, x, extra_args)
    noisy = NoisyLatent(denoiser.to_core(x), sigmas)
    if not any(parts):
        _refuse_kept_noise(model, noisy, denoiser.schedule, mask)
    step = iter(range(len(sigmas)))

    def report(denoised):
        index = next(step)
        if callback:
            shown, sigma = denoiser.to_host(denoised), sigmas[index]
            callback({"i": index, "denoised": shown, "x": shown, "sigma": sigma, "sigma_hat": sigma})

    x0 = ddim.generate(
        MaskedDenoiser(denoiser, parts),
        noisy,
        eta=eta,
        boost_below=boost_below,
        seed=extra_args.get("seed") or 0,
        progress=report,
    )
    return denoiser.to_host(x0)


def _refuse_kept_noise(model, noisy, schedule, mask):
    """Refuse a noise mask on a noisy LATENT: the host would keep the noise where the mask is 0."""
    if mask is None or not (mask < 1).any() or model.noise.any():
        return
    if not all(lacks_noise(noisy, schedule)):
        raise ValueError(
            "The latent has noise in it and a noise mask, so the sampler would keep the noise; set the mask "
            "before DDIM Invert, or connect the LATENT to the Quality Boost Sampler too."
        )
