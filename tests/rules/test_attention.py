"""Attention and its products against the plain formula, whose derivatives are torch's own."""

import math

import pytest
import torch
from rule_checks import draw, within_differentiable
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from pullback_core import Jacobian
from pullback_core.linalg.check import derivative_errors
from pullback_core.rules import attention

BATCH, HEADS, QUERIES, KEYS, WIDTH, VALUES = 2, 3, 7, 5, 4, 6
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def inputs(seed=0, *, batch=(BATCH,), dtype=torch.float64):
    shapes = (QUERIES, WIDTH), (KEYS, WIDTH), (KEYS, VALUES)
    return tuple(draw(*batch, HEADS, *shape, seed=seed + i, dtype=dtype) for i, shape in enumerate(shapes))


def plain(q, k, v, mask=None, scale=None):
    logits = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
    if mask is None:
        return logits.softmax(-1) @ v
    if mask.dtype != torch.bool:
        return (logits + mask).softmax(-1) @ v
    return logits.masked_fill(~mask, -1e300).softmax(-1).masked_fill(~mask, 0) @ v


def bool_mask(*shape):
    """Where there are several queries, the first may look nowhere."""
    mask = draw(*shape, seed=20) > 0
    mask[..., 0, :] &= mask.shape[-2] == 1
    return mask


SHAPES = [
    (QUERIES, KEYS),
    (1, KEYS),
    (HEADS, QUERIES, KEYS),
    (BATCH, 1, QUERIES, KEYS),
    (BATCH, HEADS, QUERIES, KEYS),
]
MASKS = [None, *(draw(*shape, seed=20) for shape in SHAPES), *(bool_mask(*shape) for shape in SHAPES)]
every_mask = pytest.mark.parametrize(
    "mask", MASKS, ids=lambda mask: "none" if mask is None else f"{str(mask.dtype)[6:]}-{mask.ndim}d"
)


@pytest.fixture(params=[1, 300, attention.CHUNK_BYTES], ids=["one query", "few queries", "all queries"])
def chunks(request, monkeypatch):
    monkeypatch.setattr(attention, "CHUNK_BYTES", request.param)


def products(function, active, mask=None, scale=None):
    """Value, J v and J^T u of one vector and of several, with the active of q, k and v as input."""
    parts = inputs()
    sizes = [parts[i].numel() for i in active]

    def f(points):
        point = {i: part.view(parts[i].shape) for i, part in zip(active, points[0].split(sizes))}
        return function(*(point.get(i, part) for i, part in enumerate(parts)), mask=mask, scale=scale)[None]

    operator = Jacobian(f, torch.cat([parts[i].flatten() for i in active]))
    v, u = draw(4, *operator.in_shape, seed=5), draw(4, *operator.out_shape, seed=9)
    with torch.no_grad():
        value = f(operator.x[None])[0]
    return value, operator.value, operator.jvp(v[:1]), operator.jvp(v), operator.vjp(u[:1]), operator.vjp(u)


@every_mask
@pytest.mark.parametrize(
    "active", [(0,), (1,), (2,), (1, 2), (0, 1, 2)], ids=lambda active: "".join("qkv"[i] for i in active)
)
def test_products_are_those_of_the_plain_formula(chunks, mask, active):
    torch.testing.assert_close(
        products(attention.attention, active, mask), products(plain, active, mask), **EXACT
    )


def test_scale(chunks):
    torch.testing.assert_close(
        products(attention.attention, (0, 1, 2), scale=0.3), products(plain, (0, 1, 2), scale=0.3), **EXACT
    )


def test_added_minus_infinity_is_a_bool_mask(chunks):
    mask = bool_mask(QUERIES, KEYS)
    added = torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -math.inf)
    ours = products(attention.attention, (0, 1, 2), added)
    torch.testing.assert_close(ours, products(attention.attention, (0, 1, 2), mask), **EXACT)
    assert (ours[0][..., 0, :] == 0).all()


@pytest.mark.parametrize(
    "shapes",
    [
        [(7, 4), (5, 4), (5, 6)],
        [(3, 7, 4), (1, 5, 4), (3, 5, 6)],
        [(2, 3, 7, 4), (1, 3, 5, 4), (1, 3, 5, 6)],
        [(2, 4, 7, 4), (2, 2, 5, 4), (2, 2, 5, 6)],
        [(2, 2, 4, 7, 4), (2, 2, 2, 5, 4), (2, 2, 2, 5, 6)],
    ],
    ids=["2d", "3d", "broadcast", "shared heads", "5d"],
)
def test_shapes_and_values_are_those_of_torch(shapes):
    parts = [draw(*shape, seed=i) for i, shape in enumerate(shapes)]
    expected = scaled_dot_product_attention(*parts, enable_gqa=len(shapes[0]) > 3)
    torch.testing.assert_close(attention.attention(*parts), expected)
    v = torch.stack([draw(*shapes[0], seed=8), draw(*shapes[0], seed=9)])
    operator = Jacobian(lambda x: attention.attention(x.squeeze(0), *parts[1:])[None], parts[0])
    u = draw(2, *operator.out_shape, seed=10)
    torch.testing.assert_close((operator.jvp(v) * u).sum(), (operator.vjp(u) * v).sum())


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_loses_no_more_than_its_own_rounding(dtype, tolerance):
    x, *others = (part.to(dtype) for part in (*inputs(), draw(QUERIES, KEYS)))
    v, u = draw(2, *x.shape).to(dtype), draw(3, BATCH, HEADS, QUERIES, VALUES).to(dtype)

    def products_in(precision):
        constants = [part.to(precision) for part in others]
        operator = Jacobian(lambda points: attention.attention(points, *constants), x.to(precision))
        return operator.jvp(v.to(precision)), operator.vjp(u.to(precision))

    for ours, exact in zip(products_in(dtype), products_in(torch.float32)):
        assert ours.dtype == dtype
        assert (ours.float() - exact).norm() < tolerance * exact.norm()


@pytest.mark.parametrize("mask", [None, MASKS[1], MASKS[-1]], ids=["none", "added", "bool"])
def test_parts_made_in_inference_mode_serve(mask):
    def both(function):
        x, *others = (part if part is None else part.clone() for part in (*inputs(), mask))
        operator = Jacobian(lambda points: function(points, *others), x)
        return operator.jvp(draw(2, *operator.in_shape)), operator.vjp(draw(2, *operator.out_shape))

    expected = both(plain)
    with torch.inference_mode():
        torch.testing.assert_close(both(attention.attention), expected, **EXACT)


def test_a_mask_that_depends_on_the_input_is_refused():
    with pytest.raises(NotImplementedError, match="mask"):
        attention.attention(*inputs(), draw(QUERIES, KEYS).requires_grad_())


def test_second_derivatives_are_refused():
    q, k, v = inputs()
    q.requires_grad_()
    (gradient,) = torch.autograd.grad(attention.attention(q, k, v).sum(), q, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        torch.autograd.grad(gradient.sum(), q)


class Largest(TorchDispatchMode):
    """Remembers the number of entries of the largest tensor that was made."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for part in result if isinstance(result, tuple | list) else [result]:
            if isinstance(part, torch.Tensor):
                self.entries = max(self.entries, part.numel())
        return result


@pytest.mark.parametrize(
    "product",
    [
        lambda J, x: J.jvp(x[None]),
        lambda J, x: J.jvp(torch.stack([x, -x])),
        lambda J, x: J.vjp(x[None]),
        lambda J, x: J.vjp(torch.stack([x, -x])),
    ],
    ids=["jvp", "jvps", "vjp", "vjps"],
)
def test_no_tensor_holds_the_logits_of_all_queries(product, monkeypatch):
    vectors, heads, tokens, width = 2, 2, 256, 8
    monkeypatch.setattr(attention, "CHUNK_BYTES", 2**15)  # 16 queries, of both heads

    def network(x):
        return scaled_dot_product_attention(x, 0.5 * x, 2 * x)

    x = draw(heads, tokens, width, dtype=torch.float32)
    with Largest() as largest:
        product(Jacobian(within_differentiable(network), x), x)
    logits = heads * tokens**2
    assert largest.entries <= vectors * heads * tokens * (2 * width) < logits / 4  # q' beside q, k beside k'


MASK, TEXT = bool_mask(6, 6), (draw(1, 2, 9, 4), draw(1, 2, 9, 4, seed=1))


def causal(q, k, v):
    return scaled_dot_product_attention(q, k, v, is_causal=True)


def masked(q, k, v):
    return scaled_dot_product_attention(q, k, v, attn_mask=MASK, scale=0.7)


def shared(q, k, v):
    return scaled_dot_product_attention(q, k[:, :1], v[:, :1], enable_gqa=True)


def of_text(q, k, v):
    return scaled_dot_product_attention(q, *TEXT)


@pytest.mark.parametrize("attend", [causal, masked, shared, of_text])
def test_torchs_own_call_has_derivatives_within_differentiable(attend):
    def network(x):
        return attend(*(x.unflatten(-1, (2, 4)).transpose(1, 2) * scale for scale in (1.0, 0.5, 2.0)))

    errors = derivative_errors(Jacobian(within_differentiable(network), draw(6, 8)), network, changes=(1e-5,))
    assert errors.adjoint < 1e-12 and errors.difference < 1e-7 and errors.value < 1e-12
