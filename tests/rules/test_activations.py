"""The forms of activations. The table's own cases are in test_table.py."""

import pytest
import torch
from rule_checks import draw, require_products_of_torch
from torch.nn import SiLU
from torch.nn.functional import gelu, silu


def gelu_by_tanh(x):
    return gelu(x, approximate="tanh")


def of_single_numbers(x):
    return torch.stack([silu(one) for one in x.unbind()])


def of_channels_last(x):
    return silu(x.contiguous(memory_format=torch.channels_last))


@pytest.mark.parametrize(
    "layer, shape",
    [
        (gelu_by_tanh, (7, 8)),
        (SiLU(), (7, 8)),
        (silu, ()),
        (of_single_numbers, ()),
        (of_channels_last, (4, 6, 5)),
    ],
)
def test_products_are_those_of_torch(layer, shape):
    require_products_of_torch(layer, draw(*shape, seed=6))


def test_an_activation_in_place_is_left_to_torch():
    def layer(x):
        return silu(2 * x, inplace=True)

    require_products_of_torch(layer, draw(7, 8, seed=6), by_rule=False)
