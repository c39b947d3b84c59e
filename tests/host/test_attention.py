"""Attention of the adapter against the host's own, in all the shapes that models of the host hand over."""

import comfy.ldm.modules.attention as host_attention
import pytest
import torch
from tiny_models import draw

BATCH, HEADS, QUERIES, KEYS, WIDTH = 3, 2, 5, 6, 4


def attention_inputs(skip_reshape):
    if skip_reshape:
        return tuple(
            draw(BATCH, HEADS, tokens, WIDTH, seed=seed) for seed, tokens in enumerate((QUERIES, KEYS, KEYS))
        )
    return tuple(
        draw(BATCH, tokens, HEADS * WIDTH, seed=seed) for seed, tokens in enumerate((QUERIES, KEYS, KEYS))
    )


@pytest.mark.parametrize("skip_output_reshape", [False, True])
@pytest.mark.parametrize("skip_reshape", [False, True])
@pytest.mark.parametrize(
    "shape", [None, (QUERIES, KEYS), (BATCH, QUERIES, KEYS), (BATCH, HEADS, QUERIES, KEYS), (1, 1, 1, KEYS)]
)
def test_attention_with_an_added_mask_is_the_hosts(comfy_host, shape, skip_reshape, skip_output_reshape):
    inputs, shapes = (
        attention_inputs(skip_reshape),
        {"skip_reshape": skip_reshape, "skip_output_reshape": skip_output_reshape},
    )
    mask = None if shape is None else draw(*shape, seed=9)
    hosted = host_attention.attention_basic(*inputs, HEADS, mask=mask, **shapes)
    ours = comfy_host.adapter.attention.differentiable_attention(None, *inputs, HEADS, mask=mask, **shapes)
    torch.testing.assert_close(ours, hosted)


@pytest.mark.parametrize("skip_reshape", [False, True])
@pytest.mark.parametrize(
    "shape", [(QUERIES, KEYS), (BATCH, QUERIES, KEYS), (BATCH, HEADS, QUERIES, KEYS), (1, 1, 1, KEYS)]
)
def test_attention_with_a_bool_mask_is_that_of_the_hosts_default_kernel(comfy_host, shape, skip_reshape):
    """The host runs PyTorch's kernel. Its own comments doubt how `attention_basic` reads bool masks."""
    inputs, mask = attention_inputs(skip_reshape), draw(*shape, seed=9) > 0
    if mask.shape[-2] > 1:
        mask[..., 0, :] = False  # a query that may look nowhere gets nothing
    hosted = host_attention.attention_pytorch(*inputs, HEADS, mask=mask, skip_reshape=skip_reshape)
    ours = comfy_host.adapter.attention.differentiable_attention(
        None, *inputs, HEADS, mask=mask, skip_reshape=skip_reshape
    )
    torch.testing.assert_close(ours, hosted)
    assert not torch.allclose(
        ours, host_attention.attention_pytorch(*inputs, HEADS, skip_reshape=skip_reshape)
    )


def test_attention_takes_masks_with_batch_and_heads_in_one_dimension(comfy_host):
    inputs, mask = attention_inputs(True), draw(BATCH, HEADS, QUERIES, KEYS, seed=9)
    attention = comfy_host.adapter.attention.differentiable_attention
    apart = attention(None, *inputs, HEADS, mask=mask, skip_reshape=True)
    torch.testing.assert_close(
        attention(None, *inputs, HEADS, mask=mask.flatten(0, 1), skip_reshape=True), apart
    )


def test_attention_in_half_precision_computes_its_logits_in_single(comfy_host):
    q, k, v = (
        100 * part.half() for part in attention_inputs(False)
    )  # their products are larger than the largest float16
    result = comfy_host.adapter.attention.differentiable_attention(
        None, q, k, v, HEADS, attn_precision=torch.float32
    )
    hosted = host_attention.attention_basic(q, k, v, HEADS, attn_precision=torch.float32)
    assert result.dtype == torch.float16 and torch.isfinite(result).all()
    torch.testing.assert_close(result, hosted)


def test_attention_scale_and_shared_keys_are_those_of_torch(comfy_host):
    q, k, v = (
        draw(1, 4, QUERIES, WIDTH, seed=0),
        draw(1, 2, KEYS, WIDTH, seed=1),
        draw(1, 2, KEYS, WIDTH, seed=2),
    )
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=0.3, enable_gqa=True)
    ours = comfy_host.adapter.attention.differentiable_attention(
        None, q, k, v, 4, skip_reshape=True, skip_output_reshape=True, scale=0.3, enable_gqa=True
    )
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", ["sage", "sage3", "comfy_kitchen_int8"])
def test_pytorchs_attention_replaces_one_of_low_precision(comfy_host, monkeypatch, name):
    def low_precision(q, k, v, heads):
        raise AssertionError("attention of low precision ran")

    choose = comfy_host.adapter.attention.exact_hosted_attention
    monkeypatch.setattr(
        host_attention, "REGISTERED_ATTENTION_FUNCTIONS", {name: low_precision}, raising=False
    )
    assert choose() is None  # it is registered, and another one is in use
    monkeypatch.setattr(host_attention, "optimized_attention", low_precision)
    inputs = attention_inputs(False)
    found = choose()(low_precision, *inputs, HEADS)
    torch.testing.assert_close(found, host_attention.attention_pytorch(*inputs, HEADS))
