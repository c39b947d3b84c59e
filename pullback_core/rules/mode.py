"""Networks as they are written, computed by operations that can be differentiated, and fast at it."""

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from .attention import attention
from .layers import LAYERS, differentiable_layer
from .rule import without_inference_mode


class Differentiable(TorchFunctionMode):
    """Within it, whatever torch computes can be differentiated, as a `Jacobian` does it.

    copies: also hand out parts of a tensor as copies, for networks that overwrite one part while another is kept; takes memory.
    Attention is that of `attention`, and layers and norms are those of `layers`: norms keep a copy of their input, so a network may
    overwrite its activations in place, as many do to save memory.
    Tensors made in inference mode, such as the weights of a network that was loaded there, and leaves of other graphs, such as
        weights that are being trained, are constants.
    """

    def __init__(self, copies=False):
        super().__init__()
        self.copies = copies

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if not torch.is_grad_enabled():
            return function(*args, **kwargs)
        args, kwargs = as_autograd_inputs(function, args, kwargs)
        if function is scaled_dot_product_attention:
            return _attention(*args, **kwargs)
        if function in LAYERS and args and args[0].requires_grad:
            return differentiable_layer(function, *args, **kwargs)
        result = function(*args, **kwargs)
        return result.clone() if self.copies and function is torch.Tensor.__getitem__ else result


def as_autograd_inputs(function, args, kwargs):
    """(args, kwargs) of a function as autograd may keep them: no inference tensors, no leaves of other graphs.

    The target of an in-place function is left as it is: torch itself refuses to write differentiated values into a constant.
    """
    overwritten = args[:1] if overwrites(function) else ()
    args = *overwritten, *(_ordinary(part) for part in args[len(overwritten) :])
    return args, {name: _ordinary(part) for name, part in kwargs.items()}


def overwrites(function):
    """Whether its first argument is overwritten: what is not known to autograd must not take in what is.

    `__set__` is an assignment to an attribute, such as `weight.data = other`: it must reach the weight itself.
    """
    name = getattr(function, "__name__", "")
    return name in ("__setitem__", "__set__") or (name.endswith("_") and not name.endswith("__"))


def _ordinary(part):
    """A constant as autograd takes it: a tensor made in inference mode shares its memory with one that is not; weights have no gradient."""
    if type(part) in (list, tuple):
        return type(part)(map(_ordinary, part))
    if type(part) not in (torch.Tensor, torch.nn.Parameter):
        return part
    # A weight may be both: a leaf that requires grad, and made in inference mode, which `detach` does not change.
    return without_inference_mode(part.detach() if part.requires_grad and part.is_leaf else part)


def _attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """As torch's, by its own signature; with what `attention` does not know, in torch's plain operations."""
    if dropout_p or is_causal:
        with sdpa_kernel(SDPBackend.MATH):
            return scaled_dot_product_attention(
                query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
            )
    return attention(query, key, value, attn_mask, scale)
