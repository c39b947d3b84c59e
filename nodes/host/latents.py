"""LATENT of the host, and the core's clean and noisy latents."""

from dataclasses import replace

from ...pullback_core.models.fingerprint import picture_fingerprints
from .masks import masks_of
from .origins import ENTRY, Origin, entry_of, origins_of
from .schedules import schedule_of


def clean_latent(model, x0, like=None):
    """The LATENT of clean pictures.

    Args:
        model: MODEL.
        x0: (b, c, h, w) in sampler coordinates.
        like: The LATENT that x0 was made from. Its other entries are kept.
    """
    return {**(like or {}), "samples": _samples(model, x0)}


def noisy_latent(model, noisy, like=None, origins=()):
    """The LATENT of noisy pictures, as samplers of the host take it with add_noise off.

    It has no noise mask: stock samplers restore the masked part from the LATENT that they get, and would keep
    the noise there. Its origins hold the masks.

    Args:
        model: MODEL.
        noisy: A `NoisyLatent`. It may hold several edits of each picture of `like`, one after another.
        like: The LATENT that it was made from. Its other entries are kept.
        origins: The `Origin` of each picture of `like`.
    """
    kept = dict(like or {})
    copies = len(noisy) // len(kept.get("samples", noisy.x))
    if copies > 1:
        kept.pop("batch_index", None)  # it tells which noise each picture gets, and the noise is in x already
    kept.pop("noise_mask", None)
    # The host scales a LATENT with noise as if it were clean: its samplers put back the share of x_0.
    samples = _samples(model, noisy.x.float().cpu() / schedule_of(model).alpha(noisy.sigma))
    kept[ENTRY] = entry_of(samples, [origin for origin in origins for _ in range(copies)])
    return {**kept, "samples": samples}


def inverted_origins(latent, x0, sigmas):
    """The `Origin` of each picture of a clean LATENT, for its inversion.

    Args:
        latent: The LATENT.
        x0: Its pictures, (b, c, h, w) in sampler coordinates.
        sigmas: (steps + 1,) the decreasing noise levels of the way back.
    """
    pictures, masks = picture_fingerprints(x0), masks_of(latent, x0)
    return [Origin(float(sigmas[0]), *known, sigmas) for known in zip(pictures, x0.cpu(), masks)]


def edited_origins(latent, noisy):
    """The `Origin` of each picture of a noisy LATENT, for its edits. noisy: the LATENT as a `NoisyLatent`."""
    masks = masks_of(latent, noisy.x)
    return [
        replace(origin or Origin(noisy.sigma), mask=mask) for origin, mask in zip(origins_of(latent), masks)
    ]


def _samples(model, x):
    """Clean pictures (b, c, h, w) in sampler coordinates -> the samples of a LATENT, in the VAE's scale."""
    latent_format = model.get_model_object("latent_format")
    samples = x.float().cpu()
    if latent_format.latent_dimensions == 3:
        samples = samples.unsqueeze(2)  # a picture is a film of one frame
    return latent_format.process_out(samples)
