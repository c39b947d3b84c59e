"""Attention with derivatives both ways, in the place of the host's fused kernels, which have one at best."""

from ...pullback_core.attention import attention


def differentiable_attention(
    function, q, k, v, heads, mask=None, attn_precision=None, skip_reshape=False, skip_output_reshape=False, scale=None,
    enable_gqa=False, **unused,
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


def _four_dimensional(mask, batch):
    """(q, k), (b, q, k), (b * heads, q, k) or (b, heads, q, k) -> something that broadcasts with (b, heads, q, k)."""
    if mask.ndim == 2:
        return mask[None, None]
    if mask.ndim == 3:
        return mask[:, None] if len(mask) in (1, batch) else mask.unflatten(0, (batch, -1))
    return mask
