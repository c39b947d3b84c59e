"""The denoising network of the bundled model: a small latent-diffusion UNet.

Blocks and parameter names are those of the CompVis UNet (Rombach et al., "High-Resolution Image
Synthesis with Latent Diffusion Models", CVPR 2022), so the same state dict also loads elsewhere.
Attention is written out, because fused attention kernels have no second derivative, by which J v is computed.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Conv2d, GroupNorm, LayerNorm, Linear

NORM_GROUPS = 32


@dataclass(frozen=True)
class UNetConfig:
    """Sizes of a UNet; lists run over resolution levels, finest first."""

    in_channels: int
    out_channels: int
    model_channels: int
    channel_mult: tuple
    num_res_blocks: tuple
    transformer_depth: tuple  # of each level; the middle block has the depth of the last
    context_dim: int
    num_head_channels: int = 32


class UNet(nn.Module):
    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        base = config.model_channels
        embedding = 4 * base
        self.time_embed = nn.Sequential(Linear(base, embedding), nn.SiLU(), Linear(embedding, embedding))

        def stage(channels, out_channels, depth):
            layers = [ResBlock(channels, embedding, out_channels)]
            if depth:
                layers.append(SpatialTransformer(out_channels, depth, config))
            return layers

        levels = list(zip(config.channel_mult, config.num_res_blocks, config.transformer_depth, strict=True))
        channels, skips = base, [base]
        self.input_blocks = nn.ModuleList([nn.Sequential(Conv2d(config.in_channels, base, 3, padding=1))])
        for level, (mult, blocks, depth) in enumerate(levels):
            for _ in range(blocks):
                self.input_blocks.append(nn.Sequential(*stage(channels, mult * base, depth)))
                channels = mult * base
                skips.append(channels)
            if level < len(levels) - 1:
                self.input_blocks.append(nn.Sequential(Downsample(channels)))
                skips.append(channels)
        depth = config.transformer_depth[-1]
        self.middle_block = nn.Sequential(
            *stage(channels, channels, depth), ResBlock(channels, embedding, channels)
        )
        self.output_blocks = nn.ModuleList()
        for level, (mult, blocks, depth) in reversed(list(enumerate(levels))):
            for index in range(blocks + 1):
                layers = stage(channels + skips.pop(), mult * base, depth)
                channels = mult * base
                if level > 0 and index == blocks:
                    layers.append(Upsample(channels))
                self.output_blocks.append(nn.Sequential(*layers))
        self.out = nn.Sequential(
            GroupNorm(NORM_GROUPS, channels), nn.SiLU(), Conv2d(channels, config.out_channels, 3, padding=1)
        )

    @property
    def feature_names(self):
        """Names that `forward(..., feature=name)` accepts, in the order in which they are computed."""
        inputs = [f"input_{index}" for index in range(len(self.input_blocks))]
        outputs = [f"output_{index}" for index in range(len(self.output_blocks))]
        return [*inputs, "middle", *outputs]

    def forward(self, x, timesteps, context, feature=None):
        """Predict, or stop early at a named block.

        x: (b, in_channels, h, w), of any size; timesteps: (b,) in [0, 1000); context: (b, tokens, context_dim).
        Returns (b, out_channels, h, w), or the named block's output; nothing after it is computed.
        """
        emb = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(x.dtype))
        skips = []
        for index, block in enumerate(self.input_blocks):
            x = _run(block, x, emb, context)
            if feature == f"input_{index}":
                return x
            skips.append(x)
        x = _run(self.middle_block, x, emb, context)
        if feature == "middle":
            return x
        for index, block in enumerate(self.output_blocks):
            skip = skips.pop()
            size = skips[-1].shape[-2:] if skips else None
            x = _run(block, torch.cat([x, skip], dim=1), emb, context, size)
            if feature == f"output_{index}":
                return x
        if feature is not None:
            raise ValueError(
                f"There is no block named {feature!r}; choose one of {', '.join(self.feature_names)}."
            )
        return self.out(x)


def _run(block, x, emb, context, size=None):
    """Run the layers of a block. size: (h, w) of the skip that the next block takes; an `Upsample` makes exactly that."""
    for layer in block:
        if isinstance(layer, ResBlock):
            x = layer(x, emb)
        elif isinstance(layer, SpatialTransformer):
            x = layer(x, context)
        elif isinstance(layer, Upsample):
            x = layer(x, size)
        else:
            x = layer(x)
    return x


def timestep_embedding(timesteps, dim, max_period=10000):
    """Sinusoids, cosines first. timesteps: (b,). Returns (b, dim)."""
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    frequencies = torch.exp(-math.log(max_period) * steps / half)
    angles = timesteps[:, None].to(frequencies.dtype) * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class ResBlock(nn.Module):
    def __init__(self, channels, emb_channels, out_channels):
        super().__init__()
        self.in_layers = nn.Sequential(
            GroupNorm(NORM_GROUPS, channels), nn.SiLU(), Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), Linear(emb_channels, out_channels))
        self.out_layers = nn.Sequential(
            GroupNorm(NORM_GROUPS, out_channels),
            nn.SiLU(),
            nn.Identity(),  # Identity: dropout's place in the names
            Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip_connection = (
            nn.Identity() if channels == out_channels else Conv2d(channels, out_channels, 1)
        )

    def forward(self, x, emb):
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Downsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.op = Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x):
        return self.op(x)


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, size=None):
        """(b, c, h, w) -> (b, c, *size). The size is twice (h, w), the default, or one less where it was odd before it was halved."""
        height, width = size or (2 * x.shape[-2], 2 * x.shape[-1])
        return self.conv(F.interpolate(x, size=(height, width), mode="nearest"))


class SpatialTransformer(nn.Module):
    def __init__(self, channels, depth, config):
        super().__init__()
        self.norm = GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(TransformerBlock(channels, config) for _ in range(depth))
        self.proj_out = Conv2d(channels, channels, 1)

    def forward(self, x, context):
        b, c, height, width = x.shape
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return x + self.proj_out(tokens.transpose(1, 2).reshape(b, c, height, width))


class TransformerBlock(nn.Module):
    def __init__(self, channels, config):
        super().__init__()
        self.attn1 = Attention(channels, channels, config.num_head_channels)
        self.attn2 = Attention(channels, config.context_dim, config.num_head_channels)
        self.ff = FeedForward(channels)
        self.norm1, self.norm2, self.norm3 = (LayerNorm(channels) for _ in range(3))

    def forward(self, x, context):
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Attention(nn.Module):
    def __init__(self, channels, context_dim, head_channels):
        super().__init__()
        self.heads = channels // head_channels
        self.to_q = Linear(channels, channels, bias=False)
        self.to_k = Linear(context_dim, channels, bias=False)
        self.to_v = Linear(context_dim, channels, bias=False)
        self.to_out = nn.Sequential(Linear(channels, channels))

    def forward(self, x, context):
        q, k, v = (
            values.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for values in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self, channels, mult=4):
        super().__init__()
        inner = channels * mult
        self.net = nn.Sequential(GEGLU(channels, inner), nn.Identity(), Linear(inner, channels))

    def forward(self, x):
        return self.net(x)


class GEGLU(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.proj = Linear(channels, 2 * inner)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)
