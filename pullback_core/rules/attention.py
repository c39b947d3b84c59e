"""Attention with both products of its Jacobian, which never hold the logits of all queries at once.

Values come from torch's fused kernels (Dao et al. 2022, FlashAttention). These have a vjp, but its derivative
is missing. Here both products are computed from q, k and v alone, for a chunk of queries at a time (Rabe &
Staats 2021, Self-attention Does Not Need O(n^2) Memory). With S = scale q k^T + mask, P = softmax(S) by rows,
o = P v, tangents q', k', v' and the cotangent do:

    o' = P * (S' - rowsum(P * S')) v + P v'      S' = scale (q' k^T + q k'^T)
    dS = P * (dP - rowsum(P * dP))               dP = do v^T
    dv = P^T do      dq = scale dS k             dk = scale dS^T q
"""

import math
from collections.abc import Callable

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from .rule import Kept, Rule

# The size of the logits of one chunk, for all vectors of a batch together. About three such tensors are alive
# at a time. On a CPU a chunk shall fit into the caches. On other devices it shall keep the device busy.
CHUNK_BYTES, DEVICE_CHUNK_BYTES = 8 * 2**20, 32 * 2**20


class Attention(Rule):
    """softmax(scale q k^T + mask) v by rows.

    q (*, n, d), k (*, m, d) and v (*, m, e) have the same leading dimensions, two or more. The mask
    broadcasts with (*, n, m): bool, or added to the logits. It has no derivative.
    """

    def __init__(self, scale: float) -> None:
        self._scale = scale

    @classmethod
    def call(
        cls,
        function: Callable[..., torch.Tensor],
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attn_mask: torch.Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> torch.Tensor:
        """Compute torch's `scaled_dot_product_attention`, function, by this rule.

        Dropout and causal masks are left to the kernel of torch that is made of plain operations.

        Args:
            function: torch's `scaled_dot_product_attention`.
            query: (..., queries, width).
            key: (..., tokens, width).
            value: (..., tokens, width of the output).
            attn_mask: As torch takes it.
            dropout_p: As torch takes it.
            is_causal: As torch takes it.
            scale: As torch takes it.
            enable_gqa: As torch takes it.

        Returns:
            (..., queries, width of the output).
        """
        if dropout_p or is_causal:
            with sdpa_kernel(SDPBackend.MATH):
                return function(
                    query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
                )
        return attention(query, key, value, attn_mask, scale)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, Kept]:
        # torch's kernels take one dimension before the heads.
        batch = q.shape[:-2]
        q4, k4, v4 = (part.flatten(0, -4) for part in (q, k, v))
        mask4 = None if mask is None else mask.expand(*batch[:-1], *mask.shape[-3:]).flatten(0, -4)
        # `Differentiable` does not replace functions of torch.ops, so this does not call the rule again.
        output = torch.ops.aten.scaled_dot_product_attention(q4, k4, v4, mask4, scale=self._scale)
        output = output.unflatten(0, batch[:-1])
        if mask is None:
            return output, (q, k, v)
        if mask.dtype == torch.bool:  # some kernels return NaN for a query without any key
            output = output.masked_fill(~mask.any(-1, keepdim=True), 0)
        return output, (q, k, v, mask)

    def jvp(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        kept: Kept,
        dq: torch.Tensor | None,
        dk: torch.Tensor | None,
        dv: torch.Tensor | None,
        mask_tangent: None = None,
    ) -> torch.Tensor:
        q, k, v, mask = _unpacked(kept)
        batch = _batch_shape(q, k, v, mask, dq, dk, dv)
        result = q.new_empty(*batch, q.shape[-2], v.shape[-1])
        q, k, v = _in_float32(q), _in_float32(k), _in_float32(v)
        dq, dk, dv = (None if part is None else _in_float32(part) for part in (dq, dk, dv))
        factors = _factors_of_logit_tangents(q, k, dq, dk)
        for rows in _chunks(q, k, batch):
            weights = _weights(_rows(q, rows), k, _rows(mask, rows), self._scale)
            out = torch.zeros((), device=result.device)
            if factors:
                left, right = factors
                # Without a name, the tangents of the logits are freed at once.
                out = _softmax_product(weights, (_rows(left, rows) * self._scale) @ right.mT) @ v
            if dv is not None:
                out = weights @ dv + out
            _rows(result, rows).copy_(out)
        return result

    def vjp(self, kept: Kept, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        q, k, v, mask = _unpacked(kept)
        batch, dtype = _batch_shape(q, k, v, mask, cotangent), q.dtype
        q, k, v, do = _in_float32(q), _in_float32(k), _in_float32(v), _in_float32(cotangent)
        dq, dk, dv = (
            part.new_zeros(*batch, *part.shape[-2:]) if needed else None
            for part, needed in zip((q, k, v), self.needed)
        )
        for rows in _chunks(q, k, batch):
            q_rows, do_rows = _rows(q, rows), _rows(do, rows)
            weights = _weights(q_rows, k, _rows(mask, rows), self._scale)
            if dv is not None:
                dv += weights.mT @ do_rows
            if dq is not None or dk is not None:
                logits = _softmax_product(weights, do_rows @ v.mT)
                if dq is not None:
                    _rows(dq, rows).copy_(logits @ k * self._scale)
                if dk is not None:
                    dk += logits.mT @ (q_rows * self._scale)
        return tuple(part if part is None else part.to(dtype) for part in (dq, dk, dv))


def attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    mask: torch.Tensor | None = None,
    scale: float | None = None,
) -> torch.Tensor:
    """Compute softmax(scale q k^T + mask) v, differentiable in q, k and v as a `Jacobian` needs it.

    Half precision computes its softmax in float32. A query that may look nowhere gets zeros.

    Args:
        q: (*, heads, n, d).
        k: (*, heads, m, d). With fewer heads than q, neighbouring heads of q share one.
        v: (*, heads, m, e), with as many heads as k.
        mask: Broadcasts with (*, heads, n, m): bool, True where a query may look, or numbers added to the
            logits.
        scale: 1 / sqrt(d) where None.

    Returns:
        (*, heads, n, e), in the precision of q.

    Raises:
        NotImplementedError: The mask has a derivative.
    """
    if scale is None:
        scale = 1 / math.sqrt(q.shape[-1])
    if mask is not None:
        if mask.requires_grad:
            raise NotImplementedError("A mask of attention that depends on the input has no derivative here.")
        if mask.dtype not in (torch.bool, torch.float32):
            mask = mask.to(q.dtype)  # torch's kernels take no others
    k, v = _for_heads_of(q, k), _for_heads_of(q, v)
    batch = _batch_shape(q, k, v, mask)
    padded = (1,) * (2 - len(batch)) + batch  # at least two dimensions: pictures and heads
    inputs = [part.expand(*padded, *part.shape[-2:]) for part in (q, k, v)]
    if mask is not None:
        missing = (1,) * (len(padded) + 2 - mask.ndim)
        inputs.append(mask.expand(*missing, *mask.shape[:-1], k.shape[-2]))
    output = Attention(scale).apply(*inputs)
    return output.reshape(*batch, *output.shape[-2:])


def _for_heads_of(q, part):
    """Repeat the heads of k or v, where they are fewer than those of q."""
    if q.ndim > 2 and 1 < part.shape[-3] < q.shape[-3]:
        return part.repeat_interleave(q.shape[-3] // part.shape[-3], dim=-3)
    return part


def _unpacked(kept):
    """(q, k, v, mask or None) of the kept activations."""
    q, k, v, *masks = kept
    return q, k, v, masks[0] if masks else None


def _batch_shape(*parts):
    """The leading dimensions of all matrices together: (*, rows, columns) each. None counts as no matrix."""
    return torch.broadcast_shapes(*(part.shape[:-2] for part in parts if part is not None))


def _in_float32(part):
    """In float32, or in float64 where it is so already."""
    return part if part.dtype == torch.float64 else part.float()


def _chunks(q, k, batch):
    """Yield (start, count) for each chunk of queries."""
    chunk_bytes = CHUNK_BYTES if q.device.type == "cpu" else DEVICE_CHUNK_BYTES
    size = max(1, chunk_bytes // (math.prod(batch) * k.shape[-2] * q.element_size()))
    for start in range(0, q.shape[-2], size):
        yield start, min(size, q.shape[-2] - start)


def _rows(part, rows):
    """The rows of one chunk as a view of part (*, n, *). A mask of a single row serves all queries."""
    if part is None or part.shape[-2] == 1:
        return part
    return part.narrow(-2, *rows)


def _weights(q, k, mask, scale):
    """P, the softmax of the logits of some queries: (*, count, m)."""
    logits = (q * scale) @ k.mT
    if mask is None:
        return torch.softmax(logits, dim=-1)
    logits = logits.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else logits + mask
    nowhere = logits.amax(-1, keepdim=True) == -math.inf
    return torch.softmax(logits, dim=-1).masked_fill_(nowhere, 0)


def _softmax_product(weights, vectors):
    """P * (vectors - rowsum(P * vectors)): the Jacobian of the softmax, which is symmetric, times vectors."""
    vectors = weights * vectors
    return vectors.addcmul_(weights, vectors.sum(-1, keepdim=True), value=-1)


def _factors_of_logit_tangents(q, k, dq, dk):
    """Two matrices with left right^T = q' k^T + q k'^T, for a single product. None without q' and k'."""
    pairs = [(left, right) for left, right in ((dq, k), (q, dk)) if left is not None and right is not None]
    if not pairs:
        return None
    lefts, rights = zip(*pairs)
    return torch.cat(torch.broadcast_tensors(*lefts), -1), torch.cat(torch.broadcast_tensors(*rights), -1)
