"""The denoising network of the bundled model: a small latent-diffusion UNet.

Blocks and parameter names are those of the CompVis UNet (Rombach et al., "High-Resolution Image
Synthesis with Latent Diffusion Models", CVPR 2022), so the same state dict also loads elsewhere.
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import Conv2d, GroupNorm, Linear

from .layers import NORM_GROUPS, Downsample, ResBlock, SpatialTransformer, Upsample, timestep_embedding


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a UNet. Tuples have one entry for each resolution level, the finest first.

    Attributes:
        in_channels: Channels of the latents.
        out_channels: Channels of the prediction.
        model_channels: The base of all widths.
        channel_mult: The width of each level, as a multiple of `model_channels`.
        num_res_blocks: Residual blocks of each level.
        transformer_depth: Transformer blocks of each level. The middle block has as many as the last level.
        context_dim: Channels of the prompt's tokens.
        num_head_channels: Channels of an attention head.
    """

    in_channels: int
    out_channels: int
    model_channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: tuple[int, ...]
    transformer_depth: tuple[int, ...]
    context_dim: int
    num_head_channels: int = 32


class Block(nn.ModuleList):
    """Layers that run one after the other. The output of a block can be the feature h."""

    def forward(
        self,
        x: torch.Tensor,
        embedding: torch.Tensor,
        context: torch.Tensor,
        size: tuple[int, int] | None = None,
    ) -> torch.Tensor:
        """Run the layers.

        Args:
            x: (b, c, h, w).
            embedding: Of the timestep, (b, 4 * model_channels).
            context: Of the prompt, (b, tokens, context_dim).
            size: (height, width) of the skip that the next block takes. An `Upsample` makes exactly that.

        Returns:
            (b, c', h', w').
        """
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, embedding)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context)
            elif isinstance(layer, Upsample):
                x = layer(x, size)
            else:
                x = layer(x)
        return x


class UNet(nn.Module):
    """The network: blocks on the way down, a middle block, and blocks on the way up with skips to them.

    Args:
        config: The sizes of the network.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        base = config.model_channels
        embedding = 4 * base
        self.time_embed = nn.Sequential(Linear(base, embedding), nn.SiLU(), Linear(embedding, embedding))
        levels = list(zip(config.channel_mult, config.num_res_blocks, config.transformer_depth, strict=True))
        channels, skips = base, [base]
        self.input_blocks = nn.ModuleList([Block([Conv2d(config.in_channels, base, 3, padding=1)])])
        for level, (mult, blocks, depth) in enumerate(levels):
            for _ in range(blocks):
                self.input_blocks.append(Block(_stage(config, channels, mult * base, depth)))
                channels = mult * base
                skips.append(channels)
            if level < len(levels) - 1:
                self.input_blocks.append(Block([Downsample(channels)]))
                skips.append(channels)
        depth = config.transformer_depth[-1]
        self.middle_block = Block(
            [*_stage(config, channels, channels, depth), ResBlock(channels, embedding, channels)]
        )
        self.output_blocks = nn.ModuleList()
        for level, (mult, blocks, depth) in reversed(list(enumerate(levels))):
            for index in range(blocks + 1):
                layers = _stage(config, channels + skips.pop(), mult * base, depth)
                channels = mult * base
                if level > 0 and index == blocks:
                    layers.append(Upsample(channels))
                self.output_blocks.append(Block(layers))
        self.out = nn.Sequential(
            GroupNorm(NORM_GROUPS, channels), nn.SiLU(), Conv2d(channels, config.out_channels, 3, padding=1)
        )

    def blocks(self) -> dict[str, nn.Module]:
        """The blocks whose output can be the feature: name -> block, in the order of computation."""
        inputs = {f"input_{index}": block for index, block in enumerate(self.input_blocks)}
        outputs = {f"output_{index}": block for index, block in enumerate(self.output_blocks)}
        return {**inputs, "middle": self.middle_block, **outputs}

    @property
    def feature_names(self) -> list[str]:
        """The names of the blocks whose output can be the feature, in the order of computation."""
        return list(self.blocks())

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """Predict the velocity.

        Args:
            x: (b, in_channels, h, w), of any size.
            timesteps: (b,) from 0 to 999.
            context: (b, tokens, context_dim).

        Returns:
            (b, out_channels, h, w).
        """
        embedding = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(x.dtype))
        skips = []
        for block in self.input_blocks:
            x = block(x, embedding, context)
            skips.append(x)
        x = self.middle_block(x, embedding, context)
        for block in self.output_blocks:
            skip = skips.pop()
            size = skips[-1].shape[-2:] if skips else None
            x = block(torch.cat([x, skip], dim=1), embedding, context, size)
        return self.out(x)


def _stage(config: UNetConfig, channels: int, out_channels: int, depth: int) -> list[nn.Module]:
    """A residual block and, where the depth is not 0, a transformer."""
    layers: list[nn.Module] = [ResBlock(channels, 4 * config.model_channels, out_channels)]
    if depth:
        layers.append(SpatialTransformer(out_channels, depth, config.context_dim, config.num_head_channels))
    return layers
