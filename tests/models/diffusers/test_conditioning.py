"""The keyword arguments of a UNet's call."""

from functools import partial

import pytest
import torch
from tiny_pipelines import (
    SIGMA,
    ddim_scheduler,
    draw,
    jacobian_at,
    refused_in_one_sentence,
    text_conditioning,
    text_unet,
    with_ip_adapter,
    xl_unet,
)

from pullback_core import adjoint_error
from pullback_core.models.diffusers import DiffusersDenoiser


def test_an_ip_adapters_picture_arrives_as_a_keyword_argument():
    unet, x, embeddings = with_ip_adapter(text_unet()).eval(), draw(2, 4, 8, 8), draw(1, 1, 6, seed=5)
    mask = torch.ones(1, 1, 16, 16)
    mask[..., :8] = 0
    for settings in ({}, {"cross_attention_kwargs": {"ip_adapter_masks": [mask]}}):
        conditioning = text_conditioning(added_cond_kwargs={"image_embeds": [embeddings]}, **settings)
        denoiser = DiffusersDenoiser(unet, ddim_scheduler(prediction_type="sample"), conditioning)
        z, timestep = denoiser.schedule.to_network(x, SIGMA), denoiser.schedule.timestep(SIGMA).round()
        with torch.no_grad():
            expected = torch.cat([unet(sample[None], timestep, **conditioning).sample for sample in z])
        torch.testing.assert_close(denoiser.denoise(x, SIGMA), expected, rtol=1e-4, atol=1e-5)
        assert adjoint_error(jacobian_at(denoiser, x[0])) < 1e-5


@pytest.mark.parametrize(
    "make_unet, conditioning, message",
    [
        (text_unet, {}, "lacks encoder_hidden_states"),
        (xl_unet, text_conditioning(), r"lacks.*'text_embeds'\], .*'time_ids'\]"),
        (partial(text_unet, num_class_embeds=3), text_conditioning(), "lacks class_labels"),
        (text_unet, {"encoder_hidden_states": torch.ones(2, 3, 12)}, r"batch 1.*\(2, 3, 12\)"),
        (text_unet, {"added": {"ids": [torch.tensor(1)]}}, r"batch 1.*\(\)"),
    ],
)
def test_conditioning_that_a_unet_cannot_use_is_refused(make_unet, conditioning, message):
    unet = make_unet()
    refused_in_one_sentence(message, lambda: DiffusersDenoiser(unet, ddim_scheduler(), conditioning))


def test_an_ip_adapter_without_its_picture_is_refused():
    unet = with_ip_adapter(text_unet())
    refused_in_one_sentence(
        "lacks.*image_embeds", lambda: DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
    )
