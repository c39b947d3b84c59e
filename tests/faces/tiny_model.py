"""Sizes of a small network for tests."""

from pullback_core.faces.unet import UNetConfig

TINY = UNetConfig(
    in_channels=27,
    out_channels=27,
    model_channels=32,
    channel_mult=(1, 1),
    num_res_blocks=(1, 1),
    transformer_depth=(0, 1),
    context_dim=16,
)
