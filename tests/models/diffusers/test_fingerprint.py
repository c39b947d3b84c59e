"""The fingerprint of a UNet."""

import copy
import hashlib

import pytest
import torch
from held_weights import WAYS_TO_HOLD_WEIGHTS, groups_on_disk, offloaded_to_disk
from tiny_pipelines import (
    SIGMA,
    ddim_scheduler,
    diffusers,
    draw,
    made_of,
    model_of,
    refused_in_one_sentence,
    text_conditioning,
    text_unet,
    unconditional_unet,
)

from pullback_core.models.diffusers import DiffusersDenoiser
from pullback_core.models.fingerprint import hash_weights


def test_the_fingerprint_of_a_plain_model_is_that_of_its_weights(pipelines):
    digest = hashlib.sha256()
    hash_weights(digest, pipelines["sd"].unet.state_dict())
    assert model_of(pipelines["sd"]) == digest.hexdigest()[:16]
    sliced = made_of(pipelines["sd"], diffusers.StableDiffusionPipeline, copy.deepcopy(pipelines["sd"].unet))
    sliced.enable_attention_slicing(1)
    assert model_of(sliced) == model_of(pipelines["sd"])


def test_a_fingerprint_tells_weights_apart():
    one, same, other = (unconditional_unet() for _ in range(3))
    with torch.no_grad():
        other.conv_out.bias[0] += 1
    one, same, other = (
        DiffusersDenoiser(unet, ddim_scheduler()).provenance["model"] for unet in (one, same, other)
    )
    assert one == same != other and len(one) == 16 and int(one, 16)


@pytest.mark.parametrize(
    "way", ["cpu_offload", "disk_offload", "groups of leaves", "groups on disk", "compiled in parts"]
)
def test_the_fingerprint_does_not_depend_on_where_weights_are(way, tmp_path):
    unet, (hold, _) = text_unet(), WAYS_TO_HOLD_WEIGHTS[way]
    expected = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning()).provenance["model"]
    hold(unet, *([tmp_path] if hold in (offloaded_to_disk, groups_on_disk) else []))
    for _ in range(2):
        denoiser = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
        denoiser.encode(draw(1, 4, 8, 8), SIGMA)
        assert denoiser.provenance["model"] == expected


def test_weights_that_are_not_loaded_are_refused():
    unet = text_unet().to("meta")
    refused_in_one_sentence(
        "conv_in.weight is not loaded", lambda: DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
    )
