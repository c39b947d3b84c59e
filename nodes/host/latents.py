"""The host's LATENT, IMAGE and MASK, and the core's tensors."""

from dataclasses import replace

import numpy as np
import torch
from comfy.utils import reshape_mask

from ...pullback_core import figures
from ...pullback_core.models.fingerprint import picture_fingerprints
from .denoiser import schedule_of
from .origins import ENTRY, Origin, entry_of, inherited_masks, origins_of


def ddim_sigmas(model, steps, timestep):
    """The noise levels of DDIM from a fraction of T to the clean end, as SIGMAS: (steps + 1,).

    Raises ValueError where the host could not hold the noisy latent: at the very end of a flow model nothing of x_0 is left.
    """
    schedule = schedule_of(model)
    levels = schedule.sigmas(steps, start=timestep)
    if not schedule.alpha(float(levels[0])) > 0:
        raise ValueError(
            f"At timestep {timestep:g} nothing of the picture is left in a flow model's latent; choose at most 0.99."
        )
    return levels


def latent_of(model, x, like=None, sigma=0.0, origins=()):
    """Sampler coordinates at noise level sigma -> LATENT as the host passes it on. x: (b, c, h, w).

    A latent with noise left in it is scaled as if it were clean: samplers put back x_0's share, (1 - sigma) in flow models.
    like: the LATENT that x was made from, whose other entries are kept; x may hold several of each of its pictures.
    origins: the `Origin` of each picture. A noisy LATENT has its masks there and no noise mask: stock samplers take the masked
    part from the LATENT that they get, and would keep the noise.
    """
    kept = dict(like or {})
    copies = len(x) // len(kept.get("samples", x))
    if copies > 1:
        kept.pop("batch_index", None)  # of the noise of each picture, which is in x already
    latent_format = model.get_model_object("latent_format")
    samples = x.float().cpu() / schedule_of(model).alpha(sigma)
    if latent_format.latent_dimensions == 3:  # a picture is a film of one frame
        samples = samples.unsqueeze(2)
    samples = latent_format.process_out(samples)
    if sigma > 0:
        kept.pop("noise_mask", None)
        kept[ENTRY] = entry_of(samples, [origin for origin in origins for _ in range(copies)])
    return {**kept, "samples": samples}


def mask_of(mask, latent, x):
    """A MASK, or else the latent's noise mask, or else what its `Origin`s hold: x's shape (b, c, h, w). None without any."""
    mask = latent.get("noise_mask") if mask is None else mask
    if mask is not None:
        return reshape_mask(mask.float(), x.shape).to(x)
    masks = inherited_masks(latent)
    return None if masks is None else torch.cat([reshape_mask(one, (1, *x.shape[1:])) for one in masks]).to(x)


def inverted_origins(latent, x0, way):
    """The `Origin` of each picture of a clean LATENT, for its inversion.

    x0: the pictures in sampler coordinates, (b, c, h, w). way: the noise levels of the way back, (steps + 1,) decreasing.
    """
    masks = _masks_apart(latent, x0)
    pictures = picture_fingerprints(x0)
    return [Origin(float(way[0]), *known, way) for known in zip(pictures, x0.cpu(), masks)]


def edited_origins(latent, x, sigma):
    """The `Origin` of each picture of a noisy LATENT once it is edited. x: the same in sampler coordinates, at noise level sigma."""
    masks = _masks_apart(latent, x)
    return [replace(origin or Origin(sigma), mask=mask) for origin, mask in zip(origins_of(latent), masks)]


def kept_parts(latent):
    """What each sample of a noisy LATENT keeps: (clean picture (c, h, w) in sampler coordinates, mask (1, h, w)), or None."""
    masks = _masks_apart(latent, _without_frames(latent["samples"]))
    known = [None if origin is None else origin.clean for origin in origins_of(latent)]
    return [None if clean is None or mask is None else (clean, mask) for clean, mask in zip(known, masks)]


def _masks_apart(latent, x):
    """A mask (1, h, w) on the CPU for each sample of x, or None for each."""
    masks = mask_of(None, latent, x)
    return [None] * len(x) if masks is None else list(masks[:, :1].cpu())


def _without_frames(samples):
    return samples.squeeze(2) if samples.ndim == 5 else samples


def image_to_core(images):
    """IMAGE (b, h, w, 3) in [0, 1] -> a list of (3, h, w) in [-1, 1], as the core's figures take them."""
    images = images.flatten(0, -4)  # a video VAE gives films, of one frame each
    return list(images[..., :3].movedim(-1, 1).float().cpu() * 2 - 1)


def core_to_image(tensors):
    """(b, 3, h, w) in [-1, 1] -> IMAGE (b, h, w, 3) in [0, 1]."""
    return ((tensors + 1) / 2).clamp(0, 1).movedim(1, -1)


def pil_to_image(pictures):
    """Pillow pictures of one size -> IMAGE (b, h, w, 3) in [0, 1]."""
    return torch.stack(
        [torch.from_numpy(np.array(picture.convert("RGB"))).float() / 255 for picture in pictures]
    )


def direction_preview(model, direction):
    """A direction (c, h, w) as a picture of itself, (3, h, w) in [-1, 1], grey where it does nothing.

    Uses the colours that the host's own previews give to latent channels; without those, the mean over channels.
    """
    latent_format = model.get_model_object("latent_format")
    if hasattr(latent_format, "rgb"):
        return figures.direction_map(latent_format.rgb(direction))
    factors = latent_format.latent_rgb_factors
    if factors is None or len(factors) != len(
        direction
    ):  # some formats give colours to latents in another arrangement
        factors = [[1.0] * 3] * len(direction)
    return figures.direction_map(torch.einsum("chw,cr->rhw", direction.float().cpu(), torch.tensor(factors)))
