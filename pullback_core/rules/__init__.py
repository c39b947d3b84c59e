"""Autograd rules: how the operations of a network are differentiated.

`Differentiable` computes each torch function of this table by its rule. All other functions are torch's own.
A rule is there because torch's own derivative lacks one of the two products, or takes more time or memory.

To add a rule, write a subclass of `Rule` and add a row. The tests of the table then ask for a case of the new
row.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

from .activations import GELU, SiLU
from .attention import Attention
from .linear import Conv1d, Conv2d, Conv3d, Linear
from .norms import GroupNorm, LayerNorm, RMSNorm
from .rule import Rule

RULES: dict[Callable[..., Any], type[Rule]] = {
    functional.linear: Linear,
    functional.conv1d: Conv1d,
    functional.conv2d: Conv2d,
    functional.conv3d: Conv3d,
    functional.group_norm: GroupNorm,
    torch.group_norm: GroupNorm,
    functional.layer_norm: LayerNorm,
    torch.layer_norm: LayerNorm,
    functional.rms_norm: RMSNorm,
    torch.rms_norm: RMSNorm,
    functional.silu: SiLU,
    functional.gelu: GELU,
    functional.scaled_dot_product_attention: Attention,
}
