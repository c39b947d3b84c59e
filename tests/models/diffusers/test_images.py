"""Pictures to latents and back."""

import copy

import pytest
import torch
from tiny_pipelines import (
    autoencoder,
    ddim_scheduler,
    diffusers,
    distilled_unet,
    draw,
    made_of,
    text_unet,
    unconditional_unet,
    xl_unet,
)

from pullback_core.models.diffusers import decode_latent, encode_image


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("scaling", [{}, {"scaling_factor": 0.5, "shift_factor": 0.3}], ids=["sd", "shifted"])
def test_pictures_become_latents_by_the_vae(scaling, dtype):
    torch.manual_seed(0)
    pipeline = diffusers.DiffusionPipeline()
    pipeline.register_modules(vae=autoencoder(**scaling).to(dtype))
    vae, image = copy.deepcopy(pipeline.vae).float(), draw(2, 3, 16, 16).clamp(-1, 1)
    scale, shift = scaling.get("scaling_factor", 0.18215), scaling.get("shift_factor", 0.0)
    with torch.no_grad():
        mean = vae.encode(image).latent_dist.mean
        latent = encode_image(pipeline, image)
        torch.testing.assert_close(latent, (mean - shift) * scale)
        torch.testing.assert_close(decode_latent(pipeline, latent), vae.decode(mean).sample)
    assert latent.dtype == torch.float32 and pipeline.vae.dtype == dtype


STATISTICS = {
    "latents_mean": [0.1, -0.2, 0.3, 0.0],
    "latents_std": [1.5, 0.5, 2.0, 1.0],
    "scaling_factor": 0.5,
}


@pytest.mark.parametrize(
    "source, kind, unet",
    [
        ("sd", "StableDiffusionPipeline", text_unet),
        ("sd", "LatentConsistencyModelPipeline", distilled_unet),
        ("sdxl", "StableDiffusionXLPipeline", xl_unet),
    ],
)
@pytest.mark.parametrize(
    "config", [{}, STATISTICS, {"shift_factor": 0.3}, {**STATISTICS, "latents_mean": None}], ids=str
)
def test_all_that_a_pipeline_hands_its_vae_arrives(pipelines, source, kind, unet, config):
    torch.manual_seed(0)
    vae = autoencoder(**config)
    pipeline = made_of(pipelines[source], getattr(diffusers, kind), unet(), vae=vae)
    latent, handed = draw(1, 4, 8, 8), []
    vae.decode, decode = lambda *args, **named: handed.append(args[0]) or decode(*args, **named), vae.decode
    scheduler = pipeline.scheduler = (
        diffusers.LCMScheduler() if "LatentConsistency" in kind else ddim_scheduler()
    )
    scheduler.step = lambda *_, **__: (latent, latent)  # so that the pipeline decodes this very latent
    pipeline("a hat", guidance_scale=1.0, num_inference_steps=1, output_type="pt", height=16, width=16)
    expected = decode(handed.pop(), return_dict=False)[0]
    torch.testing.assert_close(decode_latent(pipeline, latent), expected)
    with torch.no_grad():
        back = decode(vae.encode(expected).latent_dist.mode()).sample
    torch.testing.assert_close(decode_latent(pipeline, encode_image(pipeline, expected)), back)


def test_latents_are_scaled_by_the_vaes_statistics_without_a_known_pipeline():
    pipeline = diffusers.DiffusionPipeline()
    pipeline.register_modules(vae=autoencoder(**STATISTICS))
    image = draw(2, 3, 16, 16).clamp(-1, 1)
    mean, std = (torch.tensor(STATISTICS[name]).view(1, 4, 1, 1) for name in ("latents_mean", "latents_std"))
    with torch.no_grad():
        expected = (pipeline.vae.encode(image).latent_dist.mean - mean) * 0.5 / std
    torch.testing.assert_close(encode_image(pipeline, image), expected)


def test_pictures_become_latents_by_a_vae_of_another_name():
    torch.manual_seed(0)
    vae = diffusers.VQModel(
        block_out_channels=(8,), norm_num_groups=4, num_vq_embeddings=16, scaling_factor=0.5
    ).eval()
    pipeline = diffusers.LDMPipeline(vae, unconditional_unet(), ddim_scheduler())
    image = draw(1, 3, 16, 16)
    with torch.no_grad():
        latent = vae.encode(image).latents
        torch.testing.assert_close(encode_image(pipeline, image), latent * 0.5)
        torch.testing.assert_close(decode_latent(pipeline, latent * 0.5), vae.decode(latent).sample)


def test_pictures_are_their_own_latents_in_pixel_space(pipelines):
    image = draw(1, 3, 8, 8)
    assert torch.equal(encode_image(pipelines["unconditional"], image), image)
    assert torch.equal(decode_latent(pipelines["unconditional"], image), image)
