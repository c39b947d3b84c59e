"""Pictures to latents and back, by the VAE of a pipeline."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ...linalg.precision import without_autocast
from .pipeline import PipelineKind, kind_of
from .unet import has_moving_weights

# A pipeline of an unknown kind is expected to use all that its VAE has.
UNKNOWN = PipelineKind(takes_size=False, latent_statistics=True, latent_shift=True)


@torch.no_grad()
@without_autocast()
def encode_image(pipeline: Any, image: torch.Tensor) -> torch.Tensor:
    """Encode pictures to latents.

    Args:
        pipeline: A pipeline of diffusers.
        image: (b, 3, h, w) RGB in [-1, 1].

    Returns:
        (b, c, h', w') float32 latents; the image itself where the pipeline has no VAE.

    Raises:
        ValueError: The config of the VAE has no scaling_factor.
    """
    with _vae_in_float32(pipeline) as vae:
        if vae is None:
            return image
        encoded = vae.encode(image.to(_device_of(pipeline, vae), vae.dtype))
    latent = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
    scale, shift = _scale_and_shift(pipeline, vae, latent)
    return (latent - shift) * scale


@torch.no_grad()
@without_autocast()
def decode_latent(pipeline: Any, latent: torch.Tensor) -> torch.Tensor:
    """Decode latents to pictures, the inverse of `encode_image`.

    Args:
        pipeline: A pipeline of diffusers.
        latent: (b, c, h', w').

    Returns:
        (b, 3, h, w) pictures in the latent's precision, not clamped.

    Raises:
        ValueError: The config of the VAE has no scaling_factor.
    """
    with _vae_in_float32(pipeline) as vae:
        if vae is None:
            return latent
        latent = latent.to(_device_of(pipeline, vae))
        scale, shift = _scale_and_shift(pipeline, vae, latent)
        return vae.decode((latent / scale + shift).to(vae.dtype), return_dict=False)[0].to(latent.dtype)


@contextmanager
def _vae_in_float32(pipeline: Any) -> Iterator[Any]:
    """The VAE or None. Within it, the VAE computes in float32: SDXL's VAE overflows in half precision."""
    vae = getattr(pipeline, "vae", None) or getattr(pipeline, "vqvae", None)
    if vae is None or vae.dtype == torch.float32 or has_moving_weights(vae):
        yield vae
        return
    dtype = vae.dtype
    torch.nn.Module.to(vae, torch.float32)  # the VAE's own `to` warns of every change of precision
    try:
        yield vae
    finally:
        torch.nn.Module.to(vae, dtype)


def _scale_and_shift(pipeline: Any, vae: Any, latent: torch.Tensor) -> tuple[Any, Any]:
    """(scale, shift) of latents, as the pipeline itself uses them.

    The UNet's latents are (the VAE's latents - shift) * scale.
    """
    config, kind = vae.config, kind_of(pipeline) or UNKNOWN
    scale = config.get("scaling_factor")
    if scale is None:
        raise ValueError(
            f"The {type(vae).__name__} has no scaling_factor in its config; "
            "register it with vae.register_to_config()."
        )
    mean, std = config.get("latents_mean"), config.get("latents_std")
    if kind.latent_statistics and mean is not None and std is not None:
        return scale / _per_channel(std, latent), _per_channel(mean, latent)
    shift = config.get("shift_factor") if kind.latent_shift else None
    return scale, shift or 0.0


def _per_channel(values: Any, latent: torch.Tensor) -> torch.Tensor:
    return torch.as_tensor(values).view(1, -1, 1, 1).to(latent)


def _device_of(pipeline: Any, vae: Any) -> torch.device:
    return pipeline._execution_device if has_moving_weights(vae) else vae.device
