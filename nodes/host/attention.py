"""Attention with both products of its Jacobian. The host's fused kernels have one of them at most."""

import comfy.ldm.modules.attention as host_attention
from torch.overrides import TorchFunctionMode

from ...pullback_core.rules.attention import attention

# The host's names for attention that computes in int8 or fp8. Its result changes in steps, so differences of
# its values do not show its derivative.
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
    """Compute attention by the core's rule. For the host's `optimized_attention_override`.

    Args:
        function: The host's attention, which is not called.
        q: (b, tokens, heads * d), or (b, heads, tokens, d) with skip_reshape.
        k: As q, with its own number of tokens. May have fewer heads, which are then shared.
        v: As k.
        heads: The number of heads of q.
        mask: Bool, or numbers added to the logits; see `_four_dimensional` for its shapes.
        attn_precision: Not needed, because the softmax is always computed in float32 or float64.
        skip_reshape: Whether the heads of q, k and v are separate already.
        skip_output_reshape: Whether to leave the heads of the result separate.
        scale: Of the logits, 1 / sqrt(d) by default.
        enable_gqa: Not needed, because the number of heads of k and v says it.
        **unused: Other options of the host, which do not change the result.

    Returns:
        (b, tokens, heads * d), or (b, heads, tokens, d) with skip_output_reshape.
    """
    if not skip_reshape:  # even so, SD3 hands over k and v with separate heads
        size = q.shape[-1] // heads if q.ndim == 3 else q.shape[-1]
        q, k, v = (part.reshape(len(part), -1, heads, size).transpose(1, 2) for part in (q, k, v))
    if mask is not None:
        mask = _four_dimensional(mask, len(q))
    result = attention(q, k, v, mask, scale)
    return result if skip_output_reshape else result.transpose(1, 2).flatten(2)


def exact_hosted_attention():
    """Choose the host's attention for values that differences are taken of.

    A model's own override stays in place; see `ExactAttention`.

    Returns:
        An `optimized_attention_override` that calls PyTorch's attention, if the host computes in low
        precision. None if the host's own attention serves.
    """
    known = getattr(host_attention, "REGISTERED_ATTENTION_FUNCTIONS", {})
    low_precision = [known[name] for name in LOW_PRECISION if name in known]
    if host_attention.optimized_attention in low_precision:
        return _pytorch_attention
    return None


def _pytorch_attention(function, *args, **kwargs):
    return host_attention.attention_pytorch(*args, **kwargs)


def _int8_attention(q, k, v, scale=None):
    return attention(q, k, v, None, scale)


def _masked_int8_attention(q, k, v, mask, scale=None):
    return attention(q, k, v, mask, scale)


# For the host's operators that compute attention in int8: the core's attention with the same arguments.
PLAIN_ATTENTION = {
    ("comfy_kitchen", "int8_attention"): _int8_attention,
    ("comfy_kitchen", "int8_attention_masked"): _masked_int8_attention,
}


class ExactAttention(TorchFunctionMode):
    """Within it, the host's operators for attention in int8 compute the core's attention.

    It gives values. Derivatives are the task of `Differentiable`.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        library_and_name = tuple(str(function).split(".")[:2])
        exact = PLAIN_ATTENTION.get(library_and_name, function)
        return exact(*args, **(kwargs or {}))


def _four_dimensional(mask, batch):
    """Bring a mask to a shape that broadcasts with (b, heads, q, k).

    From (q, k), (b, q, k), (b * heads, q, k) or (b, heads, q, k).
    """
    if mask.ndim == 2:
        return mask[None, None]
    if mask.ndim == 3:
        return mask[:, None] if len(mask) in (1, batch) else mask.unflatten(0, (batch, -1))
    return mask
