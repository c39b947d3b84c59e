"""What pipelines give their UNet, and the pipelines that cannot be used."""

from functools import partial

import pytest
import torch
from tiny_pipelines import (
    IMAGE,
    MASKED,
    ddim_scheduler,
    diffusers,
    distilled_unet,
    made_of,
    refused_in_one_sentence,
    sigma_at,
    text_unet,
    unconditional_unet,
    with_ip_adapter,
    xl_unet,
)

from pullback_core.models.diffusers import DiffusersDenoiser


def conditioning_given_by(pipeline, prompt, **options):
    """What the pipeline itself calls its UNet with, other than the latent and the timestep."""
    calls = []
    hook = pipeline.unet.register_forward_pre_hook(
        lambda _, positional, named: calls.append(named), with_kwargs=True
    )
    pipeline(prompt, guidance_scale=1.0, num_inference_steps=1, output_type="latent", **options)
    hook.remove()
    return {
        name: calls[0].get(name)
        for name in ("encoder_hidden_states", "added_cond_kwargs")
        if calls[0].get(name) is not None
    }


@pytest.mark.parametrize(
    "source, kind, unet, call",
    [
        ("sd", "StableDiffusionPipeline", text_unet, {}),
        ("sd", "StableDiffusionPipeline", distilled_unet, {}),
        ("sd", "StableDiffusionImg2ImgPipeline", text_unet, {"image": IMAGE}),
        ("sd", "StableDiffusionInpaintPipeline", text_unet, MASKED),
        ("sd", "LatentConsistencyModelPipeline", distilled_unet, {}),
        ("sd", "LatentConsistencyModelImg2ImgPipeline", distilled_unet, {"image": IMAGE}),
        ("sdxl", "StableDiffusionXLPipeline", xl_unet, {}),
        ("sdxl", "StableDiffusionXLImg2ImgPipeline", xl_unet, {"image": IMAGE}),
        ("sdxl", "StableDiffusionXLInpaintPipeline", xl_unet, MASKED),
    ],
)
def test_all_that_a_pipeline_hands_its_unet_arrives(pipelines, source, kind, unet, call):
    scheduler = diffusers.LCMScheduler() if "LatentConsistency" in kind else ddim_scheduler()
    pipeline = made_of(pipelines[source], getattr(diffusers, kind), unet(), scheduler=scheduler)
    calls = []
    pipeline.unet.register_forward_pre_hook(lambda _, *inputs: calls.append(inputs), with_kwargs=True)
    torch.manual_seed(0)
    pipeline("a hat", guidance_scale=1.0, num_inference_steps=4, output_type="latent", **call)
    denoiser = DiffusersDenoiser.from_pipeline(pipeline, "a hat")
    found, calls = calls[:], []
    for (_, timestep), named in found:
        handed = {name: part for name, part in named.items() if part is not None and name != "return_dict"}
        torch.testing.assert_close(denoiser.conditioning, handed, rtol=0, atol=0)
        assert denoiser.schedule.timestep(sigma_at(scheduler, timestep)).round() == timestep


def controlled(pipelines, source, kind, unet):
    controlnet = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 4))
    return made_of(pipelines[source], kind, unet, controlnet=controlnet)


def adapted(pipelines, source, kind, unet):
    return made_of(
        pipelines[source],
        kind,
        unet,
        adapter=diffusers.T2IAdapter(channels=[8, 16], num_res_blocks=1, downscale_factor=2),
    )


class MoreThanAPrompt(diffusers.StableDiffusionPipeline):
    """Somebody's own pipeline, of which is not known what it hands its UNet."""

    def __call__(self, *args, **kwargs):
        return super().__call__(*args, cross_attention_kwargs={"own": 1}, **kwargs)


def gated_unet():
    return text_unet(attention_type="gated")


def unet_with_ip_adapter():
    return with_ip_adapter(text_unet())


def without_text_encoding():
    pipeline = diffusers.DiffusionPipeline()
    pipeline.register_modules(unet=text_unet(), scheduler=ddim_scheduler())
    return pipeline


MORE_THAN_A_PROMPT = [
    ("sd", "StableDiffusionPAGPipeline", text_unet, {}, "more than a prompt.*keyword arguments"),
    ("sd", "StableDiffusionPanoramaPipeline", text_unet, {}, "more than a prompt"),
    ("sd", "StableDiffusionGLIGENPipeline", gated_unet, {}, "more than a prompt"),
    ("sd", "StableDiffusionPipeline", gated_unet, {}, "more than a prompt"),
    ("sd", "StableDiffusionPipeline", xl_unet, {}, "more than a prompt"),
    (
        "sd",
        "StableDiffusionInstructPix2PixPipeline",
        partial(text_unet, in_channels=8),
        {},
        "more than a prompt",
    ),
    ("sd", "StableDiffusionInpaintPipeline", partial(text_unet, in_channels=9), {}, "9 channels.*inpainting"),
    (
        "sdxl",
        "StableDiffusionXLImg2ImgPipeline",
        xl_unet,
        {"requires_aesthetics_score": True},
        "more than a prompt",
    ),
    ("sd", "StableDiffusionPipeline", partial(text_unet, num_class_embeds=3), {}, "class labels"),
    ("sd", "StableDiffusionPipeline", unet_with_ip_adapter, {}, "IP-Adapter.*image_embeds"),
    ("sd", "StableDiffusionPipeline", text_unet, {"text_encoder": None}, "no text encoder"),
]


@pytest.mark.parametrize("source, kind, make_unet, parts, message", MORE_THAN_A_PROMPT)
def test_pipelines_that_hand_their_unet_more_than_a_prompt_are_refused(
    pipelines, source, kind, make_unet, parts, message
):
    pipeline = made_of(pipelines[source], getattr(diffusers, kind), make_unet(), **parts)
    refused_in_one_sentence(message, lambda: DiffusersDenoiser.from_pipeline(pipeline, "a hat"))


@pytest.mark.parametrize(
    "make, source, kind, make_unet",
    [
        (controlled, "sd", "StableDiffusionControlNetPipeline", text_unet),
        (controlled, "sd", "StableDiffusionControlNetImg2ImgPipeline", text_unet),
        (controlled, "sdxl", "StableDiffusionXLControlNetPipeline", xl_unet),
        (adapted, "sd", "StableDiffusionAdapterPipeline", text_unet),
        (adapted, "sdxl", "StableDiffusionXLAdapterPipeline", xl_unet),
    ],
)
def test_pipelines_with_a_network_beside_the_unet_are_refused(pipelines, make, source, kind, make_unet):
    pipeline = make(pipelines, source, getattr(diffusers, kind), make_unet())
    message = "its controlnet adds" if make is controlled else "its adapter adds"
    refused_in_one_sentence(message, lambda: DiffusersDenoiser.from_pipeline(pipeline, "a hat"))


def test_a_pipeline_of_somebody_else_is_refused(pipelines):
    pipeline = made_of(pipelines["sd"], MoreThanAPrompt, text_unet())
    refused_in_one_sentence(
        "MoreThanAPrompt.*more than a prompt", lambda: DiffusersDenoiser.from_pipeline(pipeline, "a hat")
    )


def test_a_pipeline_with_class_labels_is_refused():
    pipeline = diffusers.DDPMPipeline(unconditional_unet(num_class_embeds=3), diffusers.DDPMScheduler())
    refused_in_one_sentence("class labels", lambda: DiffusersDenoiser.from_pipeline(pipeline))


@pytest.mark.parametrize(
    "make, message",
    [
        (diffusers.DiffusionPipeline, "with a UNet.*DiffusionPipeline"),
        (without_text_encoding, "more than a prompt"),
    ],
)
def test_a_pipeline_without_a_unet_or_text_encoding_is_refused(make, message):
    refused_in_one_sentence(message, lambda: DiffusersDenoiser.from_pipeline(make()))


@pytest.mark.parametrize(
    "source, prompt, message",
    [
        ("unconditional", "a hat", "unconditional.*'a hat'"),
        ("sd", ["a hat", "a dog"], "one prompt.*list"),
    ],
)
def test_a_prompt_that_a_pipeline_cannot_take_is_refused(pipelines, source, prompt, message):
    refused_in_one_sentence(message, lambda: DiffusersDenoiser.from_pipeline(pipelines[source], prompt))


@pytest.mark.parametrize("name", ["sd", "sdxl"])
def test_conditioning_is_what_the_pipeline_gives_its_unet(pipelines, name):
    pipeline = pipelines[name]
    for size, options in ((None, {}), ((24, 32), {"height": 24, "width": 32})):
        found = DiffusersDenoiser.from_pipeline(pipeline, "a hat", size=size).conditioning
        expected = conditioning_given_by(pipeline, "a hat", **options)
        torch.testing.assert_close(found, expected, check_dtype=False)
    other = DiffusersDenoiser.from_pipeline(pipeline, "dog").conditioning
    assert not torch.allclose(found["encoder_hidden_states"], other["encoder_hidden_states"], atol=1e-3)
