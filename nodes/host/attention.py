"""Attention with derivatives, in the place of the host's fused kernels, which have none in forward mode."""

import math

import torch


def differentiable_attention(
    function, q, k, v, heads, mask=None, attn_precision=None, skip_reshape=False, skip_output_reshape=False, scale=None,
    enable_gqa=False, **unused,
):
    """An `optimized_attention_override`: softmax(q k^T) v in plain operations, whatever `function` would have run.

    q, k, v: (b, tokens, heads * d), or (b, heads, tokens, d) with skip_reshape; mask: bool, or added to the logits.
    Returns (b, tokens, heads * d), or (b, heads, tokens, d) with skip_output_reshape, as every attention of the host.
    """
    if not skip_reshape:  # SD3 hands over k and v with their heads apart already
        size = q.shape[-1] // heads if q.ndim == 3 else q.shape[-1]
        q, k, v = (part.reshape(len(part), -1, heads, size).transpose(1, 2) for part in (q, k, v))
    if enable_gqa and k.shape[1] != q.shape[1]:
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for part in (k, v))
    dtype = q.dtype
    if attn_precision == torch.float32:
        q, k = q.float(), k.float()
    logits = q @ k.transpose(-1, -2) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        mask = _four_dimensional(mask, len(q))
        logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min) if mask.dtype == torch.bool else logits + mask
    weights = torch.softmax(logits, dim=-1)
    if mask is not None and mask.dtype == torch.bool:
        weights = weights.masked_fill(~mask, 0)  # a query that may attend to nothing gets nothing, as in the host
    result = weights.to(dtype) @ v
    return result if skip_output_reshape else result.transpose(1, 2).flatten(2)


def _four_dimensional(mask, batch):
    """(q, k), (b, q, k), (b * heads, q, k) or (b, heads, q, k) -> something that broadcasts with (b, heads, q, k)."""
    if mask.ndim == 2:
        return mask[None, None]
    if mask.ndim == 3:
        return mask[:, None] if len(mask) in (1, batch) else mask.unflatten(0, (batch, -1))
    return mask
