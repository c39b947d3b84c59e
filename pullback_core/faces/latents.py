"""Pictures to latents and back, exactly: the bundled model has no VAE."""

import torch
import torch.nn.functional as F

from .draw import SIZE

PATCH = 3  # a latent pixel is PATCH x PATCH picture pixels: (3, 48, 48) -> (27, 16, 16)
LATENT_SHAPE = (3 * PATCH**2, SIZE // PATCH, SIZE // PATCH)
LATENT_SCALE = 2.0  # gives about unit variance, for which v-prediction is balanced between noise and picture


def encode_image(image: torch.Tensor) -> torch.Tensor:
    """Rearrange pictures to latents.

    Args:
        image: (b, 3, h, w) RGB in [-1, 1]; h and w are multiples of `PATCH`.

    Returns:
        (b, 27, h/3, w/3).
    """
    return F.pixel_unshuffle(image, PATCH) * LATENT_SCALE


def decode_latent(latent: torch.Tensor) -> torch.Tensor:
    """Rearrange latents to pictures, the inverse of `encode_image`.

    Args:
        latent: (b, 27, h, w).

    Returns:
        (b, 3, 3h, 3w) RGB, not clamped.
    """
    return F.pixel_shuffle(latent / LATENT_SCALE, PATCH)


def encode_mask(mask: torch.Tensor) -> torch.Tensor:
    """Rearrange a mask as `encode_image` rearranges pictures, so that it stays exact to the pixel.

    Args:
        mask: (h, w); h and w are multiples of `PATCH`.

    Returns:
        (27, h/3, w/3) of the same numbers.
    """
    return F.pixel_unshuffle(mask.expand(3, *mask.shape), PATCH)
