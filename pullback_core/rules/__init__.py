"""Autograd rules: how the operations of a network are differentiated.

`Differentiable` computes each torch function of this table by its rule. All other functions are torch's own.
A rule is there because torch's own derivative lacks one of the two products, or takes more time or memory.

To add a rule, write a subclass of `Rule` and add a row. The tests of the table then ask for a case of the new
row.
"""

import torch
from torch.nn.functional import (
    conv1d,
    conv2d,
    conv3d,
    gelu,
    group_norm,
    layer_norm,
    linear,
    rms_norm,
    scaled_dot_product_attention,
    silu,
)

from .activations import GELU, SiLU
from .attention import Attention
from .linear import Conv1d, Conv2d, Conv3d, Linear
from .norms import GroupNorm, LayerNorm, RMSNorm

RULES = {
    linear: Linear,
    conv1d: Conv1d,
    conv2d: Conv2d,
    conv3d: Conv3d,
    group_norm: GroupNorm,
    torch.group_norm: GroupNorm,
    layer_norm: LayerNorm,
    torch.layer_norm: LayerNorm,
    rms_norm: RMSNorm,
    torch.rms_norm: RMSNorm,
    silu: SiLU,
    gelu: GELU,
    scaled_dot_product_attention: Attention,
}
