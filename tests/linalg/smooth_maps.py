"""Nonlinear maps with known shapes, for the tests of Jacobians."""

import torch

from pullback_core.faces.unet import UNet, UNetConfig
from pullback_core.models.stop import output_of_block

TINY = UNetConfig(
    in_channels=3,
    out_channels=3,
    model_channels=32,
    channel_mult=(1, 1),
    num_res_blocks=(1, 1),
    transformer_depth=(0, 1),
    context_dim=16,
)


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


MIXING = draw(6, 4, seed=9)


def bend(x):
    """A nonlinear map (b, 2, 3) -> (b, 4), each sample on its own."""
    return torch.tanh(x.flatten(1) @ MIXING) + x.flatten(1)[:, :4] ** 2


def encoder(dtype):
    """The middle block of a small network, without the rules of `Differentiable`."""
    torch.manual_seed(0)
    unet = UNet(TINY).to(dtype).requires_grad_(False)
    context, timesteps = draw(1, 5, 16, seed=1, dtype=dtype), torch.tensor([300.0], dtype=dtype)

    def encode(x):
        def forward():
            unet(x, timesteps.expand(len(x)), context.expand(len(x), -1, -1))

        return output_of_block(unet.middle_block, "middle", forward)

    return encode
