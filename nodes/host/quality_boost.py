"""The core's DDIM generation as a SAMPLER of the host."""

import itertools
from types import SimpleNamespace

import comfy.samplers
import torch

from ...pullback_core import ddim
from ...pullback_core.models.denoiser import along
from ...pullback_core.models.fingerprint import lacks_noise
from .denoiser import schedule_in
from .latents import kept_parts
from .origins import origins_of

KEPT_REFINE = 4  # as the default of DDIM Invert


def quality_boost_sampler(boost_below, eta, parts=()):
    """A SAMPLER: DDIM that adds fresh noise (eta 1) below a fraction of T, and `eta` above it. parts: what it keeps, see `Keeping`."""
    return comfy.samplers.KSAMPLER(
        _sample, extra_options={"boost_below": boost_below, "eta": eta, "parts": parts}
    )


class Keeping:
    """A denoiser that predicts the picture itself wherever a mask keeps it, so that a sampler arrives at it there.

    parts: one for each picture, as `kept_parts` gives them; a batch may hold several samples of each, one after another.
    `denoise` raises ValueError for another number or size of pictures than the batch's.
    """

    def __init__(self, denoiser, parts):
        self._denoiser, self._parts, self.schedule = denoiser, parts, denoiser.schedule

    def along(self, sigmas, in_order=False):
        """As `HostDenoiser.along`."""
        return Keeping(along(self._denoiser, sigmas, in_order), self._parts)

    def denoise(self, x, sigma):
        denoised = self._denoiser.denoise(x, sigma)
        if not any(self._parts):
            return denoised
        if len(x) % len(self._parts):
            raise ValueError(
                f"The sampler keeps parts of {len(self._parts)} pictures and got {len(x)}; connect the same LATENT to both of them."
            )
        results = denoised.chunk(len(self._parts))
        return torch.cat(
            [result if part is None else _keep(result, *part) for result, part in zip(results, self._parts)]
        )


def with_kept_parts(denoiser, edits, latent, batch_size=None, progress=None):
    """Edited noisy latents from which any sampler arrives at the picture itself wherever the latent's mask keeps it.

    A stock sampler cannot be told what to keep, and behind an edit the model changes the rest of the picture too. So an
    edit is sampled to the end with that part kept, and inverted to where it came from.
    edits: for each picture of the noisy LATENT its edits, (b, c, h, w) in sampler coordinates.
    batch_size: how many are computed at once; None is all of a picture. progress: called as progress(steps done, steps in all).
    Returns edits; those of a picture without a mask, or of which the clean picture is unknown, are as they were.
    """
    kept = kept_parts(latent), origins_of(latent)
    batches = [
        [(x, part, origin) for x in edit.split(batch_size or len(edit))]
        for edit, part, origin in zip(edits, *kept)
    ]
    total = sum(2 * (len(origin.way) - 1) for batch in batches for _, part, origin in batch if part)
    done = itertools.count(1)

    def show(_):
        if progress:
            progress(next(done), total)

    return [
        torch.cat(
            [
                x if part is None else _sampled_and_inverted(denoiser, x, part, origin.way, show)
                for x, part, origin in batch
            ]
        )
        for batch in batches
    ]


def _sampled_and_inverted(denoiser, x, part, way, progress):
    finished = ddim.generate(Keeping(denoiser, [part]), x, way, progress=progress)
    return ddim.invert(denoiser, finished, way.flip(0), refine=KEPT_REFINE, progress=progress)


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
            callback(
                {
                    "i": index,
                    "denoised": denoised,
                    "x": denoised,
                    "sigma": sigmas[index],
                    "sigma_hat": sigmas[index],
                }
            )

    denoiser = SimpleNamespace(
        schedule=schedule,
        denoise=lambda x, sigma: model(x, x.new_full((len(x),), sigma), **extra_args),
    )
    return ddim.generate(
        Keeping(denoiser, parts),
        x,
        sigmas,
        eta=eta,
        boost_below=boost_below,
        seed=extra_args.get("seed") or 0,
        progress=report,
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
