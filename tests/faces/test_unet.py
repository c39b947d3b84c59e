"""The network of the bundled model."""

import torch
from tiny_model import TINY

from pullback_core.faces.unet import UNet


def test_the_network_has_compvis_names():
    names = set(UNet(TINY).state_dict())
    assert names >= {
        "time_embed.0.weight",
        "input_blocks.0.0.weight",
        "input_blocks.1.0.in_layers.0.weight",
        "input_blocks.2.0.op.bias",
        "input_blocks.3.1.proj_in.weight",
        "middle_block.1.transformer_blocks.0.attn2.to_k.weight",
        "middle_block.2.emb_layers.1.bias",
        "output_blocks.0.0.skip_connection.weight",
        "output_blocks.1.1.transformer_blocks.0.ff.net.0.proj.weight",
        "output_blocks.1.2.conv.weight",
        "output_blocks.3.0.out_layers.3.weight",
        "out.2.bias",
    }


def test_the_blocks_of_a_feature_are_listed_in_the_order_of_computation():
    unet, order = UNet(TINY).requires_grad_(False), []
    for name, block in unet.blocks().items():
        block.register_forward_hook(lambda *_, name=name: order.append(name))
    x, t, context = torch.randn(2, 27, 8, 8), torch.tensor([3.0, 700.0]), torch.randn(2, 4, 16)
    assert unet(x, t, context).shape == x.shape
    assert order == unet.feature_names and order[0] == "input_0" and "middle" in order
