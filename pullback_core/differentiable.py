"""Networks as they are written, computed by operations that have derivatives of both modes."""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import group_norm, layer_norm, rms_norm, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from .attention import attention

NORMS = (group_norm, layer_norm, rms_norm, torch.group_norm, torch.layer_norm, torch.rms_norm)


class Captured(BaseException):
    """Carries h out of a network, past all that was still to be computed."""

    def __init__(self, h):
        self.h = h


class Differentiable(TorchFunctionMode):
    """Within it, whatever torch computes can be differentiated in forward and in reverse mode.

    copies: also hand out parts of a tensor as copies, for networks that overwrite one part while another is kept; takes memory.
    Attention is that of `attention`: fused kernels have no forward-mode derivative.
    Norms get a copy of their input, contiguous, without which group norm has no forward-mode derivative. The copy is what
        reverse mode keeps, so a network may overwrite its activations in place, as many do to save memory.
    """

    def __init__(self, copies=False):
        super().__init__()
        self.copies = copies

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in NORMS and args:
            args = (args[0].clone(memory_format=torch.contiguous_format), *args[1:])
        if function is scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        result = function(*args, **kwargs)
        return result.clone() if self.copies and function is torch.Tensor.__getitem__ else result


def _attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    """As torch's, by its own signature; with what `attention` does not know, in torch's plain operations."""
    if dropout_p or is_causal:
        with sdpa_kernel(SDPBackend.MATH):
            return scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
    return attention(query, key, value, attn_mask, scale)
