"""Attention whose derivatives, both ways, never hold the logits of all queries at once.

Values come from torch's fused kernels (Dao et al. 2022, FlashAttention), which have a derivative one way only. Both products with
the Jacobian are computed here, from q, k and v alone, over a few queries at a time (Rabe & Staats 2021, Self-attention Does
Not Need O(n^2) Memory): with S = scale q k^T + mask, P = softmax(S) by rows and o = P v,

    o' = P * (S' - rowsum(P * S')) v + P v'      S' = scale (q' k^T + q k'^T)
    dS = P * (dP - rowsum(P * dP))               dP = do v^T
    dv = P^T do      dq = scale dS k             dk = scale dS^T q
"""

import math
from functools import partial

import torch

from .rule import Derivative, attach

# Of logits at once, for all vectors of a batch; about three such tensors are alive. On a CPU what caches hold, elsewhere what keeps
# a device busy between one kernel and the next.
CHUNK_BYTES, DEVICE_CHUNK_BYTES = 8 * 2**20, 32 * 2**20


def attention(q, k, v, mask=None, scale=None):
    """softmax(scale q k^T + mask) v, differentiable once in q, k and v, both ways: see `Jacobian`.

    q: (*, heads, n, d), k: (*, heads, m, d), v: (*, heads, m, e); fewer heads of k and v are shared among those of q in turn.
    mask: broadcasts with (*, heads, n, m): bool, True where a query may look, or added to the logits.
    scale: 1 / sqrt(d) where None.
    A query that may look nowhere gets zeros. Half precision takes its softmax in float32. Returns (*, heads, n, e) in q's precision.
    Raises NotImplementedError where the mask has a derivative.
    """
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1])
    if q.ndim > 2:
        k, v = (
            part.repeat_interleave(q.shape[-3] // part.shape[-3], dim=-3)
            if 1 < part.shape[-3] < q.shape[-3]
            else part
            for part in (k, v)
        )
    if mask is not None:
        if mask.requires_grad:
            raise NotImplementedError("A mask of attention that depends on the input has no derivative here.")
        if mask.dtype not in (torch.bool, torch.float32):
            mask = mask.to(q.dtype)  # torch's kernels take no others
    batch = _batch(q, k, v, mask)
    four = (1,) * (2 - len(batch)) + batch
    parts = [part.expand(*four, *part.shape[-2:]) for part in (q, k, v)]
    if mask is not None:
        parts.append(mask.expand(*(1,) * (len(four) + 2 - mask.ndim), *mask.shape[:-1], k.shape[-2]))
    with torch.no_grad():
        result = _value(scale, *parts)
    derivative = Derivative(partial(_tangent, scale), partial(_adjoint, scale))
    return attach(result, parts[:3], derivative, *parts).reshape(*batch, *result.shape[-2:])


def _value(scale, q, k, v, mask=None):
    batch = q.shape[:-2]
    folded = [
        part if part is None else part.expand(*batch[:-1], *part.shape[-3:]).flatten(0, -4)
        for part in (q, k, v, mask)
    ]
    # Not by its name in torch.nn.functional, which `Differentiable` answers with this.
    result = torch.ops.aten.scaled_dot_product_attention(*folded, scale=scale).unflatten(0, batch[:-1])
    if mask is not None and mask.dtype == torch.bool:
        result = result.masked_fill(~mask.any(-1, keepdim=True), 0)  # not every kernel does
    return result


def _tangent(scale, changes, q, k, v, mask=None):
    dq, dk, dv = changes
    batch = _batch(q, k, v, mask, *changes)
    result = q.new_empty(*batch, q.shape[-2], v.shape[-1])
    q, k, v, dq, dk, dv = (_precise(part) for part in (q, k, v, dq, dk, dv))
    pairs = [pair for pair in ((dq, k), (q, dk)) if not any(part is None for part in pair)]
    left, right = (
        (torch.cat(torch.broadcast_tensors(*side), -1) for side in zip(*pairs)) if pairs else (None, None)
    )
    for rows in _chunks(q, k, batch):
        weights, out = _weights(rows(q), k, rows(mask), scale), 0
        if pairs:
            out = _softmax_derivative(weights, (rows(left) * scale) @ right.mT) @ v
        if dv is not None:
            out = weights @ dv + out
        rows(result).copy_(out)
    return result


def _adjoint(scale, do, needed, q, k, v, mask=None):
    batch, dtype = _batch(q, k, v, mask, do), q.dtype
    q, k, v, do = (_precise(part) for part in (q, k, v, do))
    dq, dk, dv = (
        part.new_zeros(*batch, *part.shape[-2:]) if one else None for part, one in zip((q, k, v), needed)
    )
    for rows in _chunks(q, k, batch):
        part = rows(q)
        weights = _weights(part, k, rows(mask), scale)
        if dv is not None:
            dv += weights.mT @ rows(do)
        if dq is not None or dk is not None:
            total = _softmax_derivative(weights, rows(do) @ v.mT)
            if dq is not None:
                rows(dq).copy_(total @ k * scale)
            if dk is not None:
                dk += total.mT @ (part * scale)
    return [part.to(dtype) for part in (dq, dk, dv) if part is not None]


def _batch(*parts):
    return torch.broadcast_shapes(*(part.shape[:-2] for part in parts if part is not None))


def _precise(part):
    return part if part is None or part.dtype == torch.float64 else part.float()


def _chunks(q, k, batch):
    """For each few queries, a function that takes their rows out of a tensor (*, n, *), as a view."""
    bound = CHUNK_BYTES if q.device.type == "cpu" else DEVICE_CHUNK_BYTES
    size = max(1, bound // (math.prod(batch) * k.shape[-2] * q.element_size()))
    for start in range(0, q.shape[-2], size):
        count = min(size, q.shape[-2] - start)
        yield (
            lambda part, start=start, count=count: (
                part if part is None or part.shape[-2] == 1 else part.narrow(-2, start, count)
            )
        )


def _weights(q, k, mask, scale):
    """P: (*, c, m), the softmax of the logits."""
    logits = (q * scale) @ k.mT
    if mask is None:
        return torch.softmax(logits, dim=-1)
    logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
    return torch.softmax(logits, dim=-1).masked_fill_(logits.amax(-1, keepdim=True) == -math.inf, 0)


def _softmax_derivative(weights, change):
    """P * (change - rowsum(P * change)), which is its own adjoint."""
    change = weights * change
    return change.addcmul_(weights, change.sum(-1, keepdim=True), value=-1)
