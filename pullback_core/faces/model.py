"""The bundled model: a UNet and the embeddings of its words."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import Embedding

from ..models.schedule import VPSchedule
from .latents import LATENT_SHAPE
from .unet import UNet, UNetConfig
from .vocabulary import TOKEN_COUNT, tokenize

BETAS = (0.00085, 0.0285)  # sigma goes up to 318, where even what all pictures have in common is gone
CONFIG = UNetConfig(
    in_channels=LATENT_SHAPE[0],
    out_channels=LATENT_SHAPE[0],
    model_channels=96,
    channel_mult=(1, 1, 1),
    num_res_blocks=(1, 1, 1),
    transformer_depth=(0, 1, 1),
    context_dim=128,
)


class FacesModel(nn.Module):
    """A v-prediction UNet over the latents of `encode_image`, conditioned on the tokens of `vocabulary`.

    Args:
        config: The sizes of the UNet.
        betas: The first and the last beta of the noise schedule.

    Attributes:
        fingerprint: A hash of the file that the model was loaded from; "unsaved" for any other model.
    """

    def __init__(self, config: UNetConfig = CONFIG, betas: tuple[float, float] = BETAS) -> None:
        super().__init__()
        self.fingerprint = "unsaved"
        self.schedule = VPSchedule.scaled_linear(*betas)
        self.betas = betas
        self.unet = UNet(config)
        self.words = Embedding(TOKEN_COUNT, config.context_dim)

    def context(self, prompts: str | Sequence[str]) -> torch.Tensor:
        """Embed prompts for the cross-attention.

        Args:
            prompts: One prompt, or b prompts.

        Returns:
            (b, len(SLOTS), context_dim); b is 1 for one prompt.

        Raises:
            ValueError: A prompt has a word that the model does not know, see `tokenize`.
        """
        prompts = [prompts] if isinstance(prompts, str) else prompts
        tokens = torch.stack([tokenize(prompt) for prompt in prompts])
        return self.words(tokens.to(self.words.weight.device))
