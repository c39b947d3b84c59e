"""The layers of the bundled model's network.

Attention is written out, because fused attention kernels have no second derivative. So products with the
Jacobian are possible also outside `Differentiable`, only slower.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Conv2d, GroupNorm, LayerNorm, Linear

NORM_GROUPS = 32


def timestep_embedding(timesteps: torch.Tensor, dim: int, max_period: float = 10000) -> torch.Tensor:
    """Embed timesteps as sinusoids (Vaswani et al. 2017, section 3.5), cosines first.

    Args:
        timesteps: (b,).
        dim: The number of sinusoids, even.
        max_period: The slowest sinusoid has about this period.

    Returns:
        (b, dim) float32.
    """
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    frequencies = torch.exp(-math.log(max_period) * steps / half)
    angles = timesteps[:, None].to(frequencies.dtype) * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class ResBlock(nn.Module):
    """Two convolutions with the timestep's embedding between them, and a skip around them."""

    def __init__(self, channels: int, emb_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            GroupNorm(NORM_GROUPS, channels), nn.SiLU(), Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), Linear(emb_channels, out_channels))
        self.out_layers = nn.Sequential(
            GroupNorm(NORM_GROUPS, out_channels),
            nn.SiLU(),
            nn.Identity(),  # in CompVis, dropout is here; the layers after it keep their names
            Conv2d(out_channels, out_channels, 3, padding=1),
        )
        self.skip_connection = (
            nn.Identity() if channels == out_channels else Conv2d(channels, out_channels, 1)
        )

    def forward(self, x: torch.Tensor, emb: torch.Tensor) -> torch.Tensor:
        """x: (b, channels, h, w); emb: (b, emb_channels). Returns (b, out_channels, h, w)."""
        h = self.in_layers(x) + self.emb_layers(emb)[:, :, None, None]
        return self.skip_connection(x) + self.out_layers(h)


class Downsample(nn.Module):
    """A convolution that halves the size, rounded up."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(b, channels, h, w) -> (b, channels, h/2, w/2)."""
        return self.op(x)


class Upsample(nn.Module):
    """Repeated pixels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        """(b, channels, h, w) -> (b, channels, *size).

        Args:
            x: (b, channels, h, w).
            size: (height, width), by default twice that of x. It is one less where it was odd before the
                halving.

        Returns:
            (b, channels, *size).
        """
        height, width = size or (2 * x.shape[-2], 2 * x.shape[-1])
        return self.conv(F.interpolate(x, size=(height, width), mode="nearest"))


class SpatialTransformer(nn.Module):
    """A transformer over the pixels of a picture."""

    def __init__(self, channels: int, depth: int, context_dim: int, head_channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = Conv2d(channels, channels, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, context_dim, head_channels) for _ in range(depth)
        )
        self.proj_out = Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """x: (b, channels, h, w); context: (b, tokens, context_dim). Returns x's shape."""
        b, c, height, width = x.shape
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        return x + self.proj_out(tokens.transpose(1, 2).reshape(b, c, height, width))


class TransformerBlock(nn.Module):
    """Self-attention, cross-attention to the prompt, and a feed-forward layer."""

    def __init__(self, channels: int, context_dim: int, head_channels: int) -> None:
        super().__init__()
        self.attn1 = Attention(channels, channels, head_channels)
        self.attn2 = Attention(channels, context_dim, head_channels)
        self.ff = FeedForward(channels)
        self.norm1, self.norm2, self.norm3 = (LayerNorm(channels) for _ in range(3))

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """x: (b, pixels, channels); context: (b, tokens, context_dim). Returns x's shape."""
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed)
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class Attention(nn.Module):
    """Attention of x to a context, in several heads."""

    def __init__(self, channels: int, context_dim: int, head_channels: int) -> None:
        super().__init__()
        self.heads = channels // head_channels
        self.to_q = Linear(channels, channels, bias=False)
        self.to_k = Linear(context_dim, channels, bias=False)
        self.to_v = Linear(context_dim, channels, bias=False)
        self.to_out = nn.Sequential(Linear(channels, channels))

    def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """x: (b, pixels, channels); context: (b, tokens, context_dim). Returns x's shape."""
        q, k, v = (
            values.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for values in (self.to_q(x), self.to_k(context), self.to_v(context))
        )
        weights = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)
        return self.to_out((weights @ v).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """A gated layer of `mult` times the width."""

    def __init__(self, channels: int, mult: int = 4) -> None:
        super().__init__()
        inner = channels * mult
        self.net = nn.Sequential(GEGLU(channels, inner), nn.Identity(), Linear(inner, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., channels) -> (..., channels)."""
        return self.net(x)


class GEGLU(nn.Module):
    """A linear layer whose second half gates its first half (Shazeer 2020)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.proj = Linear(channels, 2 * inner)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., channels) -> (..., inner)."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)
