"""The host's LATENT, IMAGE and MASK, and the core's tensors."""

import numpy as np
import torch
from comfy.utils import reshape_mask

from ...pullback_core import figures
from .denoiser import schedule_of


def levels_of(model, steps, timestep):
    """The noise levels of DDIM from a fraction of T to the clean end, as SIGMAS: (steps + 1,).

    Raises ValueError where the host could not hold the noisy latent: at the very end of a flow model nothing of x_0 is left.
    """
    schedule = schedule_of(model)
    levels = schedule.sigmas(steps, start=timestep)
    if not schedule.alpha(float(levels[0])) > 0:
        raise ValueError(f"At timestep {timestep:g} nothing of the picture is left in a flow model's latent; choose at most 0.99.")
    return levels


def latent_of(model, x, like=None, sigma=0.0):
    """Sampler coordinates at noise level sigma -> LATENT as the host passes it on. x: (b, c, h, w).

    A latent with noise left in it is scaled as if it were clean: samplers put back x_0's share, (1 - sigma) in flow models.
    like: the LATENT that x was made from, whose other entries are kept; x may hold several of each of its pictures.
    """
    kept = dict(like or {})
    pictures = len(kept.get("samples", x))
    if len(x) > pictures:
        copies = len(x) // pictures
        if len(kept.get("noise_mask", ())) == pictures > 1:
            kept["noise_mask"] = kept["noise_mask"].repeat_interleave(copies, dim=0)
        kept.pop("batch_index", None)  # of the noise of each picture, which is in x already
    latent_format = model.get_model_object("latent_format")
    samples = x.float().cpu() / schedule_of(model).alpha(sigma)
    if latent_format.latent_dimensions == 3:  # a picture is a film of one frame
        samples = samples.unsqueeze(2)
    return {**kept, "samples": latent_format.process_out(samples)}


def mask_of(mask, latent, x):
    """A MASK, or else the latent's own noise mask, one of x's shape (b, c, h, w) for each picture. None without either."""
    mask = latent.get("noise_mask") if mask is None else mask
    return None if mask is None else reshape_mask(mask.float(), x.shape).to(x)


def pictures_of(images):
    """IMAGE (b, h, w, 3) in [0, 1] -> a list of (3, h, w) in [-1, 1], as the core's figures take them."""
    images = images.flatten(0, -4)  # a video VAE gives films, of one frame each
    return list(images[..., :3].movedim(-1, 1).float().cpu() * 2 - 1)


def images_from(tensors):
    """(b, 3, h, w) in [-1, 1] -> IMAGE (b, h, w, 3) in [0, 1]."""
    return ((tensors + 1) / 2).clamp(0, 1).movedim(1, -1)


def images_of(pictures):
    """Pillow pictures of one size -> IMAGE (b, h, w, 3) in [0, 1]."""
    return torch.stack([torch.from_numpy(np.array(picture.convert("RGB"))).float() / 255 for picture in pictures])


def rgb_of(model, direction):
    """A direction (c, h, w) as a picture of itself, (3, h, w) in [-1, 1], grey where it does nothing.

    Uses the colours that the host's own previews give to latent channels; without those, the mean over channels.
    """
    latent_format = model.get_model_object("latent_format")
    if hasattr(latent_format, "rgb"):
        return figures.direction_map(latent_format.rgb(direction))
    factors = latent_format.latent_rgb_factors
    if factors is None or len(factors) != len(direction):  # some formats give colours to latents in another arrangement
        factors = [[1.0] * 3] * len(direction)
    return figures.direction_map(torch.einsum("chw,cr->rhw", direction.float().cpu(), torch.tensor(factors)))
