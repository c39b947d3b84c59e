"""Weights that are offloaded, cast, packed, overwritten or compiled give the numbers of the plain UNet."""

import copy

import accelerate
import pytest
import torch
from held_weights import WAYS_TO_HOLD_WEIGHTS, groups_on_disk, offloaded_to_disk
from tiny_pipelines import CPU, SIGMA, diffusers, draw, everything_about, made_of, text_unet

from pullback_core import ddim
from pullback_core.models.diffusers import DiffusersDenoiser, decode_latent, encode_image


@pytest.mark.parametrize("way", WAYS_TO_HOLD_WEIGHTS)
def test_weights_that_live_only_while_their_layer_runs_give_the_plain_unets_numbers(way, plain, tmp_path):
    hold, tolerance = WAYS_TO_HOLD_WEIGHTS[way]
    unet = text_unet().eval()
    hold(unet, *([tmp_path] if hold in (offloaded_to_disk, groups_on_disk) else []))
    for found, exact in zip(everything_about(unet), plain, strict=True):
        assert found.dtype == exact.dtype and ddim.relative_error(found, exact) < tolerance


def test_offloaded_weights_stay_offloaded():
    unet = text_unet()
    accelerate.cpu_offload(unet, execution_device=CPU)
    everything_about(unet)
    assert all(weight.device.type == "meta" for weight in unet.parameters())
    unet = text_unet()
    unet.enable_layerwise_casting(storage_dtype=torch.float16, compute_dtype=torch.float32)
    before = {name: weight.dtype for name, weight in unet.named_parameters()}
    everything_about(unet)
    assert {
        name: weight.dtype for name, weight in unet.named_parameters()
    } == before and torch.float16 in before.values()


def test_a_pipeline_that_is_offloaded_piece_by_piece_serves(pipelines):
    pipeline, image = (
        made_of(pipelines["sd"], diffusers.StableDiffusionPipeline, text_unet()),
        draw(1, 3, 16, 16).clamp(-1, 1),
    )
    expected = DiffusersDenoiser.from_pipeline(pipeline, "a hat").encode(draw(1, 4, 8, 8), SIGMA)
    latent = encode_image(pipeline, image)
    decoded = decode_latent(pipeline, latent)
    pipeline = made_of(
        pipelines["sd"],
        diffusers.StableDiffusionPipeline,
        text_unet(),
        vae=copy.deepcopy(pipeline.vae),
        text_encoder=copy.deepcopy(pipeline.text_encoder),
    )
    for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder):
        accelerate.cpu_offload(part, execution_device=CPU, offload_buffers=True)
    torch.testing.assert_close(
        DiffusersDenoiser.from_pipeline(pipeline, "a hat").encode(draw(1, 4, 8, 8), SIGMA), expected
    )
    torch.testing.assert_close(encode_image(pipeline, image), latent)
    torch.testing.assert_close(decode_latent(pipeline, latent), decoded)
