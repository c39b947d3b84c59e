"""LoRA layers, IP-Adapters and FreeU: products are right with them, and fingerprints know their strengths."""

import copy

import pytest
import torch
from tiny_pipelines import (
    SIGMA,
    ddim_scheduler,
    differences,
    diffusers,
    draw,
    in_double,
    jacobian_at,
    latents,
    lora,
    made_of,
    model_of,
    peft,
    text_conditioning,
    text_unet,
    with_ip_adapter,
    with_lora,
)

from pullback_core import ddim
from pullback_core.models.diffusers import DiffusersDenoiser


def with_freeu(unet):
    unet.enable_freeu(0.9, 0.2, 1.2, 1.4)
    return unet


@pytest.mark.parametrize("feature", ["middle", "up_1", "picture"])
@pytest.mark.parametrize("change", [with_lora, with_freeu], ids=["lora", "freeu"])
def test_products_with_adapters_are_differences(change, feature):
    denoiser, reference = in_double(
        DiffusersDenoiser(change(text_unet()), ddim_scheduler(), text_conditioning(), feature=feature)
    )
    x, v = latents(denoiser, 1, dtype=torch.float64)[0], draw(2, 4, 8, 8, seed=1, dtype=torch.float64)
    found = jacobian_at(denoiser, x).jvp(v)
    # FreeU itself computes in float32, so the step of the differences is large.
    assert ddim.relative_error(found, differences(reference, x, v, step=1e-2)) < 1e-3


@pytest.mark.parametrize("scale", [0.5, 0.0])
def test_a_scale_of_loras_acts_during_the_call_alone_and_counts(scale):
    unet, x = with_lora(text_unet()), draw(1, 4, 8, 8)
    unet.set_adapters(["one"], [0.5 * scale])
    expected = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
    value = expected.encode(x, SIGMA)
    unet.set_adapters(["one"], [0.5])
    scaled = DiffusersDenoiser(
        unet, ddim_scheduler(), text_conditioning(cross_attention_kwargs={"scale": scale})
    )
    for _ in range(2):
        torch.testing.assert_close(scaled.encode(x, SIGMA), value)
        scaled.denoise(x, SIGMA)
    assert {layer.scaling["one"] for layer in unet.modules() if hasattr(layer, "set_scale")} == {0.5}
    unscaled = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
    assert scaled.provenance["model"] != unscaled.provenance["model"]


def test_strengths_of_adapters_count_in_the_fingerprint(pipelines):
    unet = with_lora(text_unet())
    pipeline, found = made_of(pipelines["sd"], diffusers.StableDiffusionPipeline, unet), []
    for names, *strengths in (
        ("one", 1.0),
        ("one", 0.5),
        ("two", 0.5),
        ("one two", 0.5, 1.0),
        ("one two", 0.5, 0.9),
    ):
        unet.set_adapters(names.split(), strengths)
        found.append(model_of(pipeline))
    unet.disable_adapters()
    found.append(model_of(pipeline))
    unet.enable_adapters()
    pipeline = made_of(pipelines["sd"], diffusers.StableDiffusionPipeline, text_unet())
    found.append(model_of(pipeline))
    for strength in (1.2, 1.4):
        pipeline.enable_freeu(s1=0.9, s2=0.2, b1=strength, b2=1.4)
        found.append(model_of(pipeline))
    pipeline.disable_freeu()
    assert len(set(found)) == len(found) and model_of(pipeline) == found[-3]


def test_strengths_of_an_ip_adapter_and_of_a_text_encoders_lora_count_in_the_fingerprint(pipelines):
    pipeline = made_of(pipelines["sd"], diffusers.StableDiffusionPipeline, with_ip_adapter(text_unet()))
    conditioning, found = text_conditioning(added_cond_kwargs={"image_embeds": [draw(1, 1, 6)]}), []
    for strength in (1.0, 0.5, {"up": {"block_0": [0.0, 1.0]}}):
        pipeline.set_ip_adapter_scale(strength)
        found.append(DiffusersDenoiser(pipeline.unet, ddim_scheduler(), conditioning).provenance["model"])
    encoder = peft.inject_adapter_in_model(lora("q_proj"), copy.deepcopy(pipelines["sd"].text_encoder), "one")
    pipeline = made_of(pipelines["sd"], diffusers.StableDiffusionPipeline, text_unet(), text_encoder=encoder)
    for strength in (1.0, 0.5):
        for layer in encoder.modules():
            if hasattr(layer, "set_scale"):
                layer.set_scale("one", strength)
        found.append(model_of(pipeline))
    assert len(set(found)) == len(found)
