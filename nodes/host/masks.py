"""What an edit leaves as it is: masks of LATENTs, and denoisers that keep the picture where a mask is 0."""

import itertools

import torch
from comfy.utils import reshape_mask

from ...pullback_core import NoisyLatent, ddim, faces
from ...pullback_core.models.denoiser import Denoiser
from .origins import inherited_masks, origins_of

KEPT_REFINE = 4  # as the default of DDIM Invert


def mask_of(mask, latent, x):
    """The mask of an edit, in the shape of x (b, c, h, w): 1 where the edit may act.

    It is the MASK, or else the noise mask of the LATENT, or else what its origins hold.

    Returns:
        The mask on x's device, or None where there is no mask.
    """
    mask = latent.get("noise_mask") if mask is None else mask
    if mask is not None:
        return reshape_mask(mask.float(), x.shape).to(x)
    masks = inherited_masks(latent)
    if masks is None:
        return None
    return torch.cat([reshape_mask(one, (1, *x.shape[1:])) for one in masks]).to(x)


def masks_of(latent, x):
    """The mask of each picture of a LATENT: (1, h, w) on the CPU, or None where there is none.

    x: the pictures, (b, c, h, w).
    """
    masks = mask_of(None, latent, x)
    return [None] * len(x) if masks is None else list(masks[:, :1].cpu())


def masks_for_basis(mask, basis):
    """MASK as the masks of the core's `masked_basis`, one for each of its batch.

    The bundled model's latents hold the pixels themselves, so its masks stay exact to the pixel.
    """
    masks = mask.float().reshape(-1, *mask.shape[-2:]).clamp(0, 1)
    channels, height, width = basis.v.shape[1:]
    if channels != faces.LATENT_SHAPE[0]:
        return list(masks)
    size = (height * faces.PATCH, width * faces.PATCH)
    pixels = torch.nn.functional.interpolate(masks[:, None], size=size, mode="area")[:, 0]
    return [faces.encode_mask(one) for one in pixels]


def kept_parts(latent):
    """What each picture of a noisy LATENT keeps.

    Returns:
        For each picture: its clean version (c, h, w) in sampler coordinates and its mask (1, h, w), or None
        where there is no mask or where the clean picture is unknown.
    """
    samples = latent["samples"]
    masks = masks_of(latent, samples.squeeze(2) if samples.ndim == 5 else samples)
    parts = []
    for origin, mask in zip(origins_of(latent), masks):
        clean = None if origin is None else origin.clean
        parts.append(None if clean is None or mask is None else (clean, mask))
    return parts


def keep_parts(pictures, parts):
    """Put what is kept into clean pictures.

    Args:
        pictures: (b, c, h, w) in sampler coordinates. They may be several edits of each picture, one after
            another.
        parts: What each picture keeps, see `kept_parts`.

    Returns:
        Clean pictures of the same shape.

    Raises:
        ValueError: The parts do not fit the batch.
    """
    if not any(parts):
        return pictures
    if len(pictures) % len(parts):
        raise ValueError(
            f"The sampler keeps parts of {len(parts)} pictures and got {len(pictures)}; "
            "connect the same LATENT to both of them."
        )
    edits = pictures.chunk(len(parts))
    return torch.cat([_keep(edit, part) for edit, part in zip(edits, parts)])


class MaskedDenoiser(Denoiser):
    """A denoiser that predicts the clean picture itself where a mask is 0. So samplers arrive at it there.

    Args:
        denoiser: The denoiser for the rest.
        parts: What each picture keeps, see `kept_parts`. A batch may hold several edits of each picture, one
            after another.
    """

    def __init__(self, denoiser, parts):
        self._denoiser, self._parts = denoiser, parts
        self.schedule, self.provenance = denoiser.schedule, denoiser.provenance

    def along(self, sigmas, in_order=False):
        return MaskedDenoiser(self._denoiser.along(sigmas, in_order), self._parts)

    def denoise(self, x, sigma):
        """As `Denoiser.denoise`. Raises ValueError where the parts do not fit the batch."""
        return keep_parts(self._denoiser.denoise(x, sigma), self._parts)

    def encode(self, x, sigma):
        return self._denoiser.encode(x, sigma)


def with_kept_parts(denoiser, edits, latent, batch_size=None, progress=None):
    """Change edited noisy latents so that any sampler arrives at the picture itself where a mask is 0.

    A stock sampler cannot be told what to keep, and behind an edit the model changes the rest of the picture
    too. So each edit is sampled to the end with that part kept, and inverted again.

    Args:
        denoiser: The model.
        edits: A `NoisyLatent` for each picture of the LATENT, with all edits of it.
        latent: The noisy LATENT.
        batch_size: How many edits are computed at once; None is all of a picture.
        progress: Called as progress(steps done, steps in all).

    Returns:
        A list like `edits`. Pictures without a kept part are as they were.
    """
    parts, origins = kept_parts(latent), origins_of(latent)
    steps = 0
    for edit, part, origin in zip(edits, parts, origins):
        if part is not None:
            batches = -(-len(edit) // (batch_size or len(edit)))
            steps += batches * 2 * (len(origin.sigmas) - 1)
    done = itertools.count(1)

    def show(_):
        if progress:
            progress(next(done), steps)

    results = []
    for edit, part, origin in zip(edits, parts, origins):
        if part is not None:
            x = edit.x.split(batch_size or len(edit))
            x = [_sampled_and_inverted(denoiser, NoisyLatent(one, origin.sigmas), part, show) for one in x]
            edit = edit.with_x(torch.cat(x))
        results.append(edit)
    return results


def _sampled_and_inverted(denoiser, noisy, part, progress):
    """x of a noisy latent that samplers bring to the kept part."""
    finished = ddim.generate(MaskedDenoiser(denoiser, [part]), noisy, progress=progress)
    return ddim.invert(denoiser, finished, noisy.sigmas, refine=KEPT_REFINE, progress=progress).x


def _keep(denoised, part):
    """Predicted pictures (b, c, h, w) where the mask of a part is 1, and its clean picture where it is 0."""
    if part is None:
        return denoised
    clean, mask = part
    if clean.shape != denoised.shape[1:] or mask.shape[1:] != clean.shape[1:]:
        raise ValueError(
            f"The sampler keeps parts of pictures of shape {tuple(clean.shape)} and got "
            f"{tuple(denoised.shape[1:])}; connect the same LATENT to both of them."
        )
    return torch.lerp(clean.to(denoised), denoised, mask.to(denoised))
