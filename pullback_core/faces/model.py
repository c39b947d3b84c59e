"""The bundled model: words and a UNet in one file, and its `Denoiser`."""

import json
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from ..schedule import VPSchedule
from .unet import UNet, UNetConfig
from .vocabulary import SLOTS, TOKEN_COUNT, tokenize

WEIGHTS = Path(__file__).with_name("faces.safetensors")
PATCH = 4  # pixels a latent pixel is wide: (3, 64, 64) -> (48, 16, 16)
LATENT_SCALE = 0.5  # the noise schedule then also destroys the mean colour of a picture
BETAS = (0.00085, 0.015)
CONFIG = UNetConfig(
    in_channels=3 * PATCH**2,
    out_channels=3 * PATCH**2,
    model_channels=96,
    channel_mult=(1, 1, 1),
    num_res_blocks=(1, 1, 1),
    transformer_depth=(0, 1, 1),
    context_dim=128,
)


def encode_image(image):
    """Pictures to latents, exactly: (b, 3, h, w) RGB in [-1, 1] -> (b, 48, h/4, w/4)."""
    return F.pixel_unshuffle(image, PATCH) * LATENT_SCALE


def decode_latent(latent):
    """The inverse of `encode_image`: (b, 48, h, w) -> (b, 3, 4h, 4w), not clamped."""
    return F.pixel_shuffle(latent / LATENT_SCALE, PATCH)


class FacesModel(nn.Module):
    """A v-prediction UNet over the latents of `encode_image`, conditioned on `vocabulary` tokens."""

    def __init__(self, config=CONFIG, betas=BETAS):
        super().__init__()
        self.schedule = VPSchedule.scaled_linear(*betas)
        self.betas = betas
        self.unet = UNet(config)
        self.words = nn.Embedding(TOKEN_COUNT, config.context_dim)

    def context(self, prompts):
        """Prompts (one string or a list of b) -> cross-attention context (b, len(SLOTS), context_dim)."""
        prompts = [prompts] if isinstance(prompts, str) else prompts
        return self.words(torch.stack([tokenize(prompt) for prompt in prompts]).to(self.words.weight.device))
