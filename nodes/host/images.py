"""IMAGE of the host, the core's pictures, and Pillow pictures."""

import numpy as np
import torch

from ...pullback_core import figures
from ...pullback_core.basis_checks import MAX_THUMBNAIL


def image_to_core(images):
    """IMAGE (b, h, w, 3) in [0, 1] -> a list of tensors (3, h, w) in [-1, 1], for the core's figures."""
    images = images.flatten(0, -4)  # the VAEs of film models give (b, frames, h, w, 3)
    return list(images[..., :3].movedim(-1, 1).float().cpu() * 2 - 1)


def core_to_image(pictures):
    """Tensor (b, 3, h, w) in [-1, 1] -> IMAGE (b, h, w, 3) in [0, 1]."""
    return ((pictures + 1) / 2).clamp(0, 1).movedim(1, -1)


def pil_to_image(pictures):
    """Pillow pictures of one size -> IMAGE (b, h, w, 3) in [0, 1]."""
    arrays = [np.array(picture.convert("RGB")) for picture in pictures]
    return torch.stack([torch.from_numpy(array).float() / 255 for array in arrays])


def image_to_thumbnail(images):
    """The first picture of IMAGE as the thumbnail of a basis, (h, w, 3) in uint8, at most 256 a side."""
    picture = figures.to_pil(image_to_core(images)[0])
    picture.thumbnail((MAX_THUMBNAIL, MAX_THUMBNAIL))
    return torch.from_numpy(np.array(picture))


def thumbnail_to_image(thumbnail):
    """The thumbnail of a basis as IMAGE (1, h, w, 3) in [0, 1]."""
    return thumbnail[None].float() / 255


def direction_preview(model, direction):
    """A direction (c, h, w) as a picture (3, h, w) in [-1, 1], which is grey where the direction is zero.

    The colours are those of the host's latent previews. Without them, it shows the mean over the channels.
    """
    latent_format = model.get_model_object("latent_format")
    if hasattr(latent_format, "rgb"):
        return figures.direction_map(latent_format.rgb(direction))
    factors = latent_format.latent_rgb_factors
    # Some formats give their colours to latents with another arrangement of channels.
    if factors is None or len(factors) != len(direction):
        factors = [[1.0] * 3] * len(direction)
    colours = torch.einsum("chw,cr->rhw", direction.float().cpu(), torch.tensor(factors))
    return figures.direction_map(colours)
