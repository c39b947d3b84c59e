"""Straight moves of noisy latents."""

import torch

from ..basis import PullbackBasis
from ..guidance import unit_directions
from ..models.denoiser import Denoiser
from ..noisy import NoisyLatent


@torch.no_grad()
def move(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    direction: torch.Tensor | PullbackBasis,
    length: float | torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
) -> NoisyLatent:
    """Move noisy latents straight along a direction: z + length * v in network coordinates.

    Args:
        denoiser: The model. It is not evaluated.
        noisy: The noisy latents. A single one is moved along each direction and by each length.
        direction: v, (c, h, w) or one for each latent (b, c, h, w), in network coordinates; it is made unit
            length. Or a `PullbackBasis` of rank 1 at the same noise level.
        length: A number, or one for each latent (b,).
        mask: (h, w) or broadcastable to x, 1 where the latent may move.

    Returns:
        The moved latents, at the same noise level.

    Raises:
        ValueError: The direction does not fit, is zero or not finite, or is of another noise level; there is
            another number of lengths; or the model does not have the noise level.
    """
    sigma = denoiser.schedule.require_level(noisy.sigma)
    lengths = torch.as_tensor(length, dtype=noisy.x.dtype, device=noisy.x.device).view(-1, 1, 1, 1)
    count = len(lengths)
    if isinstance(direction, torch.Tensor) and direction.ndim == 4:
        count = max(count, len(direction))
    if len(noisy) == 1 and count > 1:
        noisy = noisy.with_x(noisy.x.expand(count, -1, -1, -1))
    if len(lengths) not in (1, len(noisy)):
        raise ValueError(
            f"There must be one length, or one for each of the {len(noisy)} samples, got {len(lengths)}."
        )
    step = denoiser.schedule.scale(sigma) * lengths * unit_directions(direction, noisy)
    return noisy.with_x(noisy.x + (step if mask is None else step * mask))
