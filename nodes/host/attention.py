"""Attention with derivatives both ways, in the place of the host's fused kernels, which have one at best."""

import comfy.ldm.modules.attention as host_attention
from torch.overrides import TorchFunctionMode

from ...pullback_core.rules.attention import attention

# Names under which the host keeps attention that computes in int8 or fp8. Its result changes by steps, so differences of it tell
# nothing about a derivative.
LOW_PRECISION = ("comfy_kitchen_int8", "sage", "sage3")


def differentiable_attention(
    function,
    q,
    k,
    v,
    heads,
    mask=None,
    attn_precision=None,
    skip_reshape=False,
    skip_output_reshape=False,
    scale=None,
    enable_gqa=False,
    **unused,
):
    """An `optimized_attention_override`: the core's `attention`, whatever `function` would have run.

    q, k, v: (b, tokens, heads * d), or (b, heads, tokens, d) with skip_reshape; mask: bool, or added to the logits.
    attn_precision, enable_gqa: of no need, as logits are always of float32 at least, and heads shared where they are fewer.
    Returns (b, tokens, heads * d), or (b, heads, tokens, d) with skip_output_reshape, as every attention of the host.
    """
    if not skip_reshape:  # SD3 hands over k and v with their heads apart already
        size = q.shape[-1] // heads if q.ndim == 3 else q.shape[-1]
        q, k, v = (part.reshape(len(part), -1, heads, size).transpose(1, 2) for part in (q, k, v))
    result = attention(q, k, v, None if mask is None else _four_dimensional(mask, len(q)), scale)
    return result if skip_output_reshape else result.transpose(1, 2).flatten(2)


def exact_hosted_attention():
    """An `optimized_attention_override`: the host's attention, but PyTorch's in the place of a kernel of low precision; None if none is.

    A model's own override stays in place; see `ExactAttention`.
    """
    known = getattr(host_attention, "REGISTERED_ATTENTION_FUNCTIONS", {})
    if all(host_attention.optimized_attention is not known.get(name) for name in LOW_PRECISION):
        return None
    return lambda function, *args, **kwargs: host_attention.attention_pytorch(*args, **kwargs)


def _int8_attention(q, k, v, scale=None):
    return attention(q, k, v, None, scale)


def _masked_int8_attention(q, k, v, mask, scale=None):
    return attention(q, k, v, mask, scale)


# Operators of the host's library that compute attention in int8, and the core's for the same arguments.
PLAIN_ATTENTION = {
    ("comfy_kitchen", "int8_attention"): _int8_attention,
    ("comfy_kitchen", "int8_attention_masked"): _masked_int8_attention,
}


class ExactAttention(TorchFunctionMode):
    """Within it, the host's operators for attention in int8 are the core's attention. It has derivatives within `Differentiable` alone."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        exact = PLAIN_ATTENTION.get(tuple(str(function).split(".")[:2]))
        return (exact or function)(*args, **(kwargs or {}))


def _four_dimensional(mask, batch):
    """(q, k), (b, q, k), (b * heads, q, k) or (b, heads, q, k) -> something that broadcasts with (b, heads, q, k)."""
    if mask.ndim == 2:
        return mask[None, None]
    if mask.ndim == 3:
        return mask[:, None] if len(mask) in (1, batch) else mask.unflatten(0, (batch, -1))
    return mask
