"""What the bundled model learns from: drawings, words that are sometimes silenced, and the loss."""

import torch

from .latents import LATENT_SCALE
from .model import FacesModel
from .vocabulary import SLOTS

EMPTY_PROMPT = 0.15  # of the pictures have no words at all (classifier-free dropout)
DATA_VARIANCE = (0.52 * LATENT_SCALE) ** 2  # of the drawings' latents


def drop_words(tokens: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
    """Silence words at random.

    Args:
        tokens: (b, len(SLOTS)).
        generator: Of random numbers.

    Returns:
        The same with some slots empty, and sometimes all.
    """
    count = len(tokens)
    keep_rate = torch.rand(count, 1, generator=generator)
    keep = torch.rand(count, len(SLOTS), generator=generator) < keep_rate
    keep &= torch.rand(count, 1, generator=generator) >= EMPTY_PROMPT
    return torch.where(keep, tokens, torch.arange(len(SLOTS)))


def velocity_loss(
    model: FacesModel, x0: torch.Tensor, tokens: torch.Tensor, generator: torch.Generator | None = None
) -> torch.Tensor:
    """The v-prediction loss (Salimans and Ho 2022, "Progressive Distillation", appendix D) of a batch.

    Every timestep has the same weight: the squared error is divided by the variance of its target.

    Args:
        model: The model.
        x0: (b, 27, h, w) clean latents.
        tokens: (b, len(SLOTS)).
        generator: Of random numbers.

    Returns:
        (b,) losses, in the order of rising timesteps.
    """
    count = len(x0)
    # One timestep from each of `count` equal parts of T: less noise in the gradient than independent ones.
    t = ((torch.arange(count) + torch.rand(count, generator=generator)) * (1000 / count)).long()
    sigma = torch.exp(model.schedule.log_sigmas[t]).float().view(-1, 1, 1, 1)
    alpha = (1 + sigma**2).rsqrt()
    noise = torch.randn(x0.shape, generator=generator)
    z = alpha * (x0 + sigma * noise)
    target = alpha * noise - alpha * sigma * x0
    error = (model.unet(z, t.float(), model.words(tokens)) - target).square().mean(dim=(1, 2, 3))
    return error / (alpha**2 * (1 + sigma**2 * DATA_VARIANCE)).flatten()
