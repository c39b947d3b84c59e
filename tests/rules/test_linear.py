"""The forms of linear layers and convolutions. The table's own cases are in test_table.py."""

import pytest
import torch
from rule_checks import draw, require_products_of_torch, uses_rule
from torch.nn.functional import conv1d, conv2d, conv3d, linear

WEIGHT, BIAS = draw(4, 8, seed=1), draw(4, seed=2)
KERNEL, GROUPED = draw(6, 4, 3, 3), draw(4, 2, 3, 3, seed=3)
PICTURE, TOKENS = (4, 6, 5), (7, 8)


def strided(x):
    return conv2d(x, KERNEL, stride=2, padding=(1, 0))


def grouped(x):
    return conv2d(x, GROUPED, BIAS, groups=2, dilation=(2, 1))


def of_tokens(x):
    return conv1d(x, draw(5, 7, 3), padding=1)


def of_films(x):
    return conv3d(x[:, :, None], draw(6, 4, 1, 3, 3))


def without_bias(x):
    return linear(x, weight=WEIGHT)


def of_one_number(x):
    return linear(x[..., None], draw(2, 1))


@pytest.mark.parametrize(
    "layer, shape",
    [
        (strided, PICTURE),
        (grouped, PICTURE),
        (of_tokens, TOKENS),
        (of_films, PICTURE),
        (without_bias, TOKENS),
        (of_one_number, (3,)),
    ],
)
def test_products_are_those_of_torch(layer, shape):
    require_products_of_torch(layer, draw(*shape, seed=6))


@pytest.mark.parametrize("layer", [strided, grouped])
def test_products_of_channels_last_are_those_of_torch(layer):
    def channels_last(x):
        return layer(x.contiguous(memory_format=torch.channels_last))

    require_products_of_torch(channels_last, draw(*PICTURE, seed=6))


def same_padding(x):
    return conv2d(x, KERNEL, padding="same")


def of_one_picture(x):
    return conv2d(x[0], KERNEL)[None]


def weight_of_the_input(x):
    return linear(x, x[0])


def with_a_weight_vector(x):
    return linear(x, WEIGHT[0])


@pytest.mark.parametrize(
    "layer, shape",
    [
        (same_padding, PICTURE),
        (of_one_picture, PICTURE),
        (weight_of_the_input, TOKENS),
        (with_a_weight_vector, TOKENS),
    ],
)
def test_other_forms_are_left_to_torch(layer, shape):
    require_products_of_torch(layer, draw(*shape, seed=6), by_rule=False)


def test_the_input_by_name_is_left_to_torch():
    def layer(x):
        return linear(input=x, weight=WEIGHT)

    require_products_of_torch(layer, draw(*TOKENS, seed=6), by_rule=False)


def test_weights_of_another_precision_are_refused_as_by_torch():
    with pytest.raises(RuntimeError, match="dtype"):
        uses_rule(lambda x: linear(x, WEIGHT.float()), draw(1, *TOKENS))


class Wrapped(torch.Tensor):
    """As the packed weights of other libraries, which compute in their own way."""


def test_weights_of_a_subclass_are_left_to_it():
    wrapped = WEIGHT.as_subclass(Wrapped)
    assert not uses_rule(lambda x: linear(x, wrapped), draw(1, *TOKENS))
