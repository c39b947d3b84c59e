"""The layers of the bundled model's network."""

import math

import torch
import torch.nn.functional as F

from pullback_core.faces.layers import GEGLU, Attention, Upsample, timestep_embedding


def test_time_is_embedded_with_cosines_first():
    torch.testing.assert_close(
        timestep_embedding(torch.tensor([0.0, 2.0]), 4),
        torch.tensor(
            [
                [1.0, 1.0, 0.0, 0.0],
                [math.cos(2), math.cos(0.02), math.sin(2), math.sin(0.02)],
            ]
        ),
    )


def test_attention_equals_torchs_own():
    torch.manual_seed(0)
    layer, x, context = Attention(64, 16, 32), torch.randn(2, 5, 64), torch.randn(2, 3, 16)
    q, k, v = (
        values.unflatten(-1, (2, 32)).transpose(1, 2)
        for values in (layer.to_q(x), layer.to_k(context), layer.to_v(context))
    )
    expected = layer.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(layer(x, context), expected)


def test_a_geglu_gates_its_first_half_with_its_second():
    layer = GEGLU(1, 1)
    layer.load_state_dict({"proj.weight": torch.tensor([[2.0], [3.0]]), "proj.bias": torch.zeros(2)})
    torch.testing.assert_close(layer(torch.ones(1, 1)), 2 * F.gelu(torch.tensor([[3.0]])))


def test_upsampling_repeats_pixels():
    layer, x = Upsample(2), torch.randn(1, 2, 3, 3)
    torch.nn.init.dirac_(layer.conv.weight)
    torch.nn.init.zeros_(layer.conv.bias)
    torch.testing.assert_close(layer(x), x.repeat_interleave(2, -1).repeat_interleave(2, -2))
