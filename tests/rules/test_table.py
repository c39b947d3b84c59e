"""Every row of the table of rules against torch's own double backward pass. A new row needs a case here."""

import pytest
import torch
from rule_checks import draw, require_products_in_half_precision, require_products_of_torch
from torch.nn import functional

from pullback_core.rules import RULES
from pullback_core.rules.rule import Rule

ROWS = list(RULES)


def constant(like, *shape, seed=1):
    """A weight in the precision of a tensor; in every precision the same numbers, those of float16."""
    return draw(*shape, seed=seed).half().to(like)


def linear(function, x):
    return function(x, constant(x, 5, 8), constant(x, 5, seed=2))


def convolution(function, x):
    kernel = constant(x, 6, 2, *[3] * (x.ndim - 2))
    return function(x, kernel, constant(x, 6, seed=2), stride=2, padding=1, groups=2)


def group_norm(function, x):
    return function(x, 2, constant(x, 4), constant(x, 4, seed=2), eps=1e-3)


def layer_norm(function, x):
    return function(x, (8,), constant(x, 8), constant(x, 8, seed=2), eps=1e-3)


def rms_norm(function, x):
    return function(x, (8,), constant(x, 8), eps=1e-3)


def activation(function, x):
    return function(x)


def attention(function, x):
    q, k, v = (scale * x.unflatten(-1, (2, 4)).transpose(1, 2) for scale in (1.0, 0.5, 2.0))
    return function(q, k, v, attn_mask=constant(x, 7, 7), scale=0.7)


# For every function of the table: a call of it, and the shape of the sample x, without the batch dimension.
TOKENS, PICTURE = (7, 8), (4, 6, 5)
CASES = {
    functional.linear: (linear, TOKENS),
    functional.conv1d: (convolution, (4, 9)),
    functional.conv2d: (convolution, PICTURE),
    functional.conv3d: (convolution, (4, 3, 6, 5)),
    functional.group_norm: (group_norm, PICTURE),
    torch.group_norm: (group_norm, PICTURE),
    functional.layer_norm: (layer_norm, TOKENS),
    torch.layer_norm: (layer_norm, TOKENS),
    functional.rms_norm: (rms_norm, TOKENS),
    torch.rms_norm: (rms_norm, TOKENS),
    functional.silu: (activation, TOKENS),
    functional.gelu: (activation, TOKENS),
    functional.scaled_dot_product_attention: (attention, TOKENS),
}


def layer_and_sample(function):
    """The case of a row: a map of (1, *shape), and a sample (*shape)."""
    assert function in CASES, f"The table has a new row: add a case for {function.__name__} to CASES."
    call, shape = CASES[function]

    def layer(x):
        return call(function, x)

    return layer, draw(*shape, seed=6)


def name_of(function):
    return f"{getattr(function, '__module__', None) or 'torch'}.{function.__name__}"


every_row = pytest.mark.parametrize("function", ROWS, ids=name_of)


@every_row
def test_the_products_of_a_row_are_those_of_torch(function):
    require_products_of_torch(*layer_and_sample(function))


@every_row
@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 5e-3), (torch.bfloat16, 4e-2)])
def test_the_products_of_a_row_keep_half_precision(function, dtype, tolerance):
    require_products_in_half_precision(*layer_and_sample(function), dtype, tolerance)


@every_row
def test_a_row_is_a_function_that_torch_hands_to_modes_and_a_rule(function):
    assert function in torch.overrides.get_testing_overrides() and issubclass(RULES[function], Rule)


def test_every_case_has_its_row():
    assert set(CASES) == set(RULES)
