"""UNet pipelines of diffusers, made small and of random weights: nothing is downloaded."""

import copy
import hashlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import autocast

diffusers = pytest.importorskip(
    "diffusers", reason="diffusers is not installed, so its pipelines are not tested"
)
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed, so diffusers' pipelines are not tested"
)
accelerate = pytest.importorskip(
    "accelerate", reason="accelerate is not installed, so offloaded pipelines are not tested"
)
peft = pytest.importorskip("peft", reason="peft is not installed, so LoRA layers are not tested")

from pullback_core import (  # noqa: E402
    Jacobian,
    PullbackBasis,
    adjoint_error,
    ddim,
    local_basis,
    parallel_transport,
    x_space_guidance,
)
from pullback_core.basis import hash_weights, prompt_hash  # noqa: E402
from pullback_core.compare_features import explain_features  # noqa: E402
from pullback_core.models.diffusers.denoiser import DiffusersDenoiser, decode_latent, encode_image  # noqa: E402

KINDS = ("unconditional", "sd", "sdxl")
PROMPT = {"unconditional": "", "sd": "a hat", "sdxl": "a hat"}
WIDTH = 12  # of a text encoder
SIGMA = 2.0
SMALL = dict(sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4)


def ddim_scheduler(**options):
    return diffusers.DDIMScheduler(
        **{
            "beta_schedule": "scaled_linear",
            "beta_start": 0.00085,
            "beta_end": 0.012,
            "clip_sample": False,
            "steps_offset": 1,
            **options,
        }
    )


def unconditional_unet(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        **{
            **SMALL,
            "in_channels": 3,
            "out_channels": 3,
            "attention_head_dim": 4,
            "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
            "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
            **options,
        }
    )


def text_unet(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(
        **{
            **SMALL,
            "in_channels": 4,
            "out_channels": 4,
            "attention_head_dim": 4,
            "cross_attention_dim": WIDTH,
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
            **options,
        }
    )


def xl_unet():
    return text_unet(
        cross_attention_dim=2 * WIDTH,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + WIDTH,
    )


def autoencoder(**options):
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
        **options,
    ).eval()


def text_encoder(kind):
    return kind(
        transformers.CLIPTextConfig(
            vocab_size=54,
            hidden_size=WIDTH,
            projection_dim=WIDTH,
            intermediate_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=16,
            bos_token_id=52,
            eos_token_id=53,
        )
    ).eval()


def tokenizer(folder):
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    words = tokenizer(tmp_path_factory.mktemp("tokenizer"))
    encoder, projecting = (
        text_encoder(transformers.CLIPTextModel),
        text_encoder(transformers.CLIPTextModelWithProjection),
    )
    return {
        "unconditional": diffusers.DDIMPipeline(unconditional_unet(), ddim_scheduler(steps_offset=0)),
        "sd": diffusers.StableDiffusionPipeline(
            autoencoder(),
            encoder,
            words,
            text_unet(),
            ddim_scheduler(),
            None,
            None,
            requires_safety_checker=False,
        ),
        "sdxl": diffusers.StableDiffusionXLPipeline(
            autoencoder(),
            encoder,
            projecting,
            words,
            words,
            xl_unet(),
            ddim_scheduler(),
            add_watermarker=False,
        ),
    }


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def pipeline(pipelines, kind):
    return pipelines[kind]


@pytest.fixture
def denoiser(pipeline, kind):
    return DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind])


def draw(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def latents(denoiser, batch, **options):
    return draw(batch, denoiser.unet.config["in_channels"], 8, 8, **options)


def sigma_at(scheduler, timestep):
    alpha = scheduler.alphas_cumprod[timestep].double()
    return ((1 - alpha) / alpha).sqrt().item()


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


def in_double(denoiser):
    """The same denoiser in float64, and its map x_t -> h by an ordinary hook on the UNet's own unmodified forward."""
    unet = copy.deepcopy(denoiser.unet).double()
    doubled = copy.copy(denoiser)
    doubled.__init__(unet, ddim_scheduler(), denoiser.conditioning, feature=denoiser.feature)
    own, outputs = copy.deepcopy(unet).eval(), []
    kind, _, index = denoiser.feature.partition("_")
    block = own.mid_block if kind == "middle" else getattr(own, f"{kind}_blocks")[int(index)]
    block.register_forward_hook(
        lambda _, inputs, output: outputs.append((output[0] if isinstance(output, tuple) else output).clone())
    )
    timestep = denoiser.schedule.timestep(SIGMA).round().long()

    @torch.no_grad()
    def reference(z):
        expand = lambda part: part.double().expand(len(z), *part.shape[1:])
        conditioning = {
            name: {key: expand(one) for key, one in part.items()} if isinstance(part, dict) else expand(part)
            for name, part in denoiser.conditioning.items()
        }
        own(z, timestep, **conditioning)
        return outputs.pop()

    return doubled, reference


def differences(reference, z, v, step=1e-4):
    """Central differences of h at z (c, h, w) along v (b, c, h, w)."""
    return (reference(z + step * v) - reference(z - step * v)) / (2 * step)


def test_importing_the_module_imports_nothing_of_its_host():
    script = "import sys, pullback_core, pullback_core.models.diffusers.denoiser; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    )
    assert "pullback_core.models.diffusers.denoiser" in done.stdout.split() and not {
        "diffusers",
        "transformers",
    } & set(done.stdout.split())


@pytest.mark.parametrize("feature", ["middle", "down_0", "down_1", "up_0", "up_1"])
def test_jacobian_products_are_differences_of_the_unets_own_forward(pipeline, kind, feature):
    denoiser, reference = in_double(DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind], feature=feature))
    z, v = latents(denoiser, 1, dtype=torch.float64)[0], latents(denoiser, 2, seed=1, dtype=torch.float64)
    jacobian = Jacobian(lambda points: denoiser.encode(points, SIGMA), z)
    torch.testing.assert_close(denoiser.encode(z[None], SIGMA), reference(z[None]), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(jacobian.jvp(v), differences(reference, z, v), rtol=1e-5, atol=1e-6)
    assert adjoint_error(jacobian) < 1e-12


def test_rows_and_columns_agree_in_single_precision(denoiser):
    assert (
        adjoint_error(Jacobian(lambda points: denoiser.encode(points, SIGMA), latents(denoiser, 1)[0])) < 1e-5
    )


def test_a_basis_is_the_decomposition_of_the_matrix_of_differences(denoiser):
    z = latents(denoiser, 1)[0]
    _, reference = in_double(denoiser)
    every = torch.eye(z.numel(), dtype=torch.float64).view(-1, *z.shape)
    matrix = differences(reference, z.double(), every).flatten(1).T
    basis = local_basis(denoiser, z, SIGMA, 2, tolerance=1e-4, seed=1)
    _, s, v = torch.linalg.svd(matrix)
    torch.testing.assert_close(basis.s.double(), s[:2], rtol=1e-3, atol=0)
    assert basis.converged and (v[:2] * basis.v.flatten(1)).sum(dim=1).abs().min() > 0.999


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_denoise_predicts_the_same_x0_as_a_scheduler(pipeline, prediction):
    scheduler = ddim_scheduler(prediction_type=prediction)
    scheduler.set_timesteps(10)
    conditioning = DiffusersDenoiser.from_pipeline(pipeline).conditioning
    denoiser = DiffusersDenoiser(pipeline.unet, scheduler, conditioning)
    z = latents(denoiser, 1)
    for timestep in (900, 501, 3):
        sigma = sigma_at(scheduler, timestep)
        with torch.no_grad():
            predicted = copy.deepcopy(pipeline.unet).eval()(z, timestep, **conditioning).sample
            found = denoiser.denoise(denoiser.schedule.from_network(z, sigma), sigma)
        torch.testing.assert_close(
            found, scheduler.step(predicted, timestep, z).pred_original_sample, rtol=1e-4, atol=1e-4
        )


def made_of(pipeline, kind, unet, **parts):
    """A pipeline of another class with the parts of a given one."""
    parts = {
        **pipeline.components,
        "requires_safety_checker": False,
        "add_watermarker": False,
        "unet": unet,
        **parts,
    }
    made = kind(
        **{name: part for name, part in parts.items() if name in inspect.signature(kind.__init__).parameters}
    )
    made.set_progress_bar_config(disable=True)
    return made


def distilled_unet():
    return text_unet(time_cond_proj_dim=6)


IMAGE = torch.linspace(0, 1, 3 * 16 * 16).view(1, 3, 16, 16)
MASKED = {"image": IMAGE, "mask_image": IMAGE[:, :1], "height": 16, "width": 16}


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


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda ready: controlled(ready, "sd", diffusers.StableDiffusionControlNetPipeline, text_unet()),
            "its controlnet adds",
        ),
        (
            lambda ready: controlled(
                ready, "sd", diffusers.StableDiffusionControlNetImg2ImgPipeline, text_unet()
            ),
            "its controlnet adds",
        ),
        (
            lambda ready: controlled(ready, "sdxl", diffusers.StableDiffusionXLControlNetPipeline, xl_unet()),
            "its controlnet adds",
        ),
        (
            lambda ready: adapted(ready, "sd", diffusers.StableDiffusionAdapterPipeline, text_unet()),
            "its adapter adds",
        ),
        (
            lambda ready: adapted(ready, "sdxl", diffusers.StableDiffusionXLAdapterPipeline, xl_unet()),
            "its adapter adds",
        ),
        (
            lambda ready: made_of(ready["sd"], diffusers.StableDiffusionPAGPipeline, text_unet()),
            "more than a prompt.*keyword arguments",
        ),
        (
            lambda ready: made_of(ready["sd"], diffusers.StableDiffusionPanoramaPipeline, text_unet()),
            "more than a prompt",
        ),
        (
            lambda ready: made_of(
                ready["sd"], diffusers.StableDiffusionGLIGENPipeline, text_unet(attention_type="gated")
            ),
            "more than a prompt",
        ),
        (
            lambda ready: made_of(
                ready["sd"], diffusers.StableDiffusionPipeline, text_unet(attention_type="gated")
            ),
            "more than a prompt",
        ),
        (
            lambda ready: made_of(
                ready["sd"], diffusers.StableDiffusionInstructPix2PixPipeline, text_unet(in_channels=8)
            ),
            "more than a prompt",
        ),
        (
            lambda ready: made_of(
                ready["sd"], diffusers.StableDiffusionInpaintPipeline, text_unet(in_channels=9)
            ),
            "9 channels.*inpainting",
        ),
        (
            lambda ready: made_of(ready["sd"], diffusers.StableDiffusionPipeline, xl_unet()),
            "more than a prompt",
        ),
        (
            lambda ready: made_of(
                ready["sdxl"],
                diffusers.StableDiffusionXLImg2ImgPipeline,
                xl_unet(),
                requires_aesthetics_score=True,
            ),
            "more than a prompt",
        ),
        (
            lambda ready: made_of(ready["sd"], MoreThanAPrompt, text_unet()),
            "MoreThanAPrompt.*more than a prompt",
        ),
        (
            lambda ready: made_of(
                ready["sd"], diffusers.StableDiffusionPipeline, text_unet(num_class_embeds=3)
            ),
            "class labels",
        ),
        (
            lambda ready: diffusers.DDPMPipeline(
                unconditional_unet(num_class_embeds=3), diffusers.DDPMScheduler()
            ),
            "class labels",
        ),
        (
            lambda ready: made_of(
                ready["sd"], diffusers.StableDiffusionPipeline, with_ip_adapter(text_unet())
            ),
            "IP-Adapter.*image_embeds",
        ),
    ],
    ids=str,
)
def test_pipelines_that_hand_their_unet_more_than_a_prompt_are_refused(pipelines, make, message):
    pipeline = make(pipelines)
    with pytest.raises(ValueError, match=message) as refused:
        DiffusersDenoiser.from_pipeline(
            pipeline, "" if isinstance(pipeline, diffusers.DDPMPipeline) else "a hat"
        )
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def with_ip_adapter(unet):
    draws = (
        draw(*shape, seed=seed)
        for seed, shape in enumerate([(4 * WIDTH, 6), (4 * WIDTH,)] + [(16, WIDTH)] * 8)
    )
    projection = {
        "proj.weight": next(draws),
        "proj.bias": next(draws),
        "norm.weight": torch.ones(WIDTH),
        "norm.bias": torch.zeros(WIDTH),
    }
    names = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    numbers = range(1, 2 * len(names), 2)
    keys = {f"{number}.to_{kind}_ip.weight": next(draws) for number in numbers for kind in "kv"}
    unet._load_ip_adapter_weights({"image_proj": projection, "ip_adapter": keys})
    return unet


def with_lora(unet):
    torch.manual_seed(1)
    for name in ("one", "two"):
        unet.add_adapter(lora("to_q", "to_v"), adapter_name=name)
    return unet


def lora(*layers):
    return peft.LoraConfig(r=2, lora_alpha=2, target_modules=[*layers], init_lora_weights=False)


def text_conditioning(**more):
    return {"encoder_hidden_states": draw(1, 3, WIDTH), **more}


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
        jacobian = Jacobian(lambda points, one=denoiser: one.encode(points, SIGMA), x[0])
        assert adjoint_error(jacobian) < 1e-5


def model_of(pipeline):
    return DiffusersDenoiser.from_pipeline(pipeline, "a hat").provenance["model"]


def test_the_fingerprint_of_a_plain_model_is_that_of_its_weights(pipelines):
    digest = hashlib.sha256()
    hash_weights(digest, pipelines["sd"].unet.state_dict())
    assert model_of(pipelines["sd"]) == digest.hexdigest()[:16]
    sliced = made_of(pipelines["sd"], diffusers.StableDiffusionPipeline, copy.deepcopy(pipelines["sd"].unet))
    sliced.enable_attention_slicing(1)
    assert model_of(sliced) == model_of(pipelines["sd"])


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


@pytest.mark.parametrize("scale", [0.5, 0.0])
def test_a_scale_of_loras_acts_during_the_call_alone_and_counts(scale):
    unet, z = with_lora(text_unet()), draw(1, 4, 8, 8)
    unet.set_adapters(["one"], [0.5 * scale])
    expected = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
    value = expected.encode(z, SIGMA)
    unet.set_adapters(["one"], [0.5])
    scaled = DiffusersDenoiser(
        unet, ddim_scheduler(), text_conditioning(cross_attention_kwargs={"scale": scale})
    )
    for _ in range(2):
        torch.testing.assert_close(scaled.encode(z, SIGMA), value)
        scaled.denoise(z, SIGMA)
    assert {layer.scaling["one"] for layer in unet.modules() if hasattr(layer, "set_scale")} == {0.5}
    assert (
        scaled.provenance["model"]
        != DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning()).provenance["model"]
    )


@pytest.mark.parametrize("feature", ["middle", "up_1"])
@pytest.mark.parametrize(
    "change", [with_lora, lambda unet: unet.enable_freeu(0.9, 0.2, 1.2, 1.4) or unet], ids=["lora", "freeu"]
)
def test_products_with_adapters_are_differences(change, feature):
    denoiser, reference = in_double(
        DiffusersDenoiser(change(text_unet()), ddim_scheduler(), text_conditioning(), feature=feature)
    )
    z, v = draw(4, 8, 8, dtype=torch.float64), draw(2, 4, 8, 8, seed=1, dtype=torch.float64)
    found = Jacobian(lambda points: denoiser.encode(points, SIGMA), z).jvp(v)
    assert (
        ddim.relative_error(found, differences(reference, z, v, step=1e-2)) < 1e-3
    )  # FreeU itself computes in float32


@pytest.mark.parametrize("name", ["sd", "sdxl"])
def test_conditioning_is_what_the_pipeline_gives_its_unet(pipelines, name):
    pipeline = pipelines[name]
    for size, options in ((None, {}), ((24, 32), {"height": 24, "width": 32})):
        found = DiffusersDenoiser.from_pipeline(pipeline, "a hat", size=size).conditioning
        expected = conditioning_given_by(pipeline, "a hat", **options)
        torch.testing.assert_close(found, expected, check_dtype=False)
    other = DiffusersDenoiser.from_pipeline(pipeline, "dog").conditioning
    assert not torch.allclose(found["encoder_hidden_states"], other["encoder_hidden_states"], atol=1e-3)


def test_generation_is_the_pipelines_own(pipeline, kind, denoiser):
    scheduler, z = pipeline.scheduler, latents(denoiser, 2)
    scheduler.set_timesteps(8)
    sigmas = [*(sigma_at(scheduler, timestep) for timestep in scheduler.timesteps), 0.0]
    found = ddim.generate(denoiser, denoiser.schedule.from_network(z, sigmas[0]), sigmas)
    if PROMPT[kind]:
        expected = pipeline(
            PROMPT[kind],
            latents=z,
            guidance_scale=1.0,
            num_inference_steps=8,
            num_images_per_prompt=2,
            output_type="latent",
            height=16,
            width=16,
        ).images
    else:
        expected = z
        with torch.no_grad():
            for timestep in scheduler.timesteps:
                expected = scheduler.step(
                    pipeline.unet(expected, timestep).sample, timestep, expected
                ).prev_sample
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_picture_comes_back_from_its_noise(denoiser):
    x0, sigmas = latents(denoiser, 2), denoiser.schedule.sigmas(8, start=0.6)
    errors = [
        ddim.relative_error(
            ddim.generate(denoiser, ddim.invert(denoiser, x0, sigmas.flip(0), refine=refine), sigmas), x0
        )
        for refine in (0, 4)
    ]
    assert errors[1] < min(1e-3, errors[0] / 10)


def test_a_direction_is_found_saved_followed_and_carried(denoiser, kind, tmp_path):
    one, other = (local_basis(denoiser, z, SIGMA, 3, seed=1) for z in latents(denoiser, 2))
    one.save(tmp_path / "basis.safetensors")
    assert (
        PullbackBasis.load(tmp_path / "basis.safetensors").provenance == one.provenance == denoiser.provenance
    )
    assert one.provenance["prompt"] == prompt_hash(PROMPT[kind]) and one.provenance["feature"] == "middle"
    carried = parallel_transport(0, one, one)
    assert (
        carried.alignment == pytest.approx(1, abs=1e-3) and abs((carried.direction * one.v[0]).sum()) > 0.999
    )
    assert 0 < parallel_transport(0, one, other).alignment < 0.999
    z = latents(denoiser, 1)
    there, back = (
        x_space_guidance(denoiser, z, SIGMA, one.v[0], scale=scale, steps=2)[-1] for scale in (1.0, -1.0)
    )
    assert ((there - z) * (back - z)).sum() < 0 < (there - z).norm()


def test_samples_of_a_batch_do_not_see_each_other(denoiser):
    z = latents(denoiser, 3)
    with torch.no_grad():
        for function in (denoiser.encode, denoiser.denoise):
            alone = torch.cat([function(sample[None], SIGMA) for sample in z])
            torch.testing.assert_close(function(z, SIGMA), alone, rtol=1e-4, atol=1e-5)


def test_encoding_stops_at_the_feature(pipeline):
    seen = []
    unet = copy.deepcopy(pipeline.unet)
    watched = {
        "down_0": unet.down_blocks[0],
        "down_1": unet.down_blocks[1],
        "middle": unet.mid_block,
        "up_0": unet.up_blocks[0],
        "up_1": unet.up_blocks[1],
        "end": unet.conv_out,
    }
    for name, block in watched.items():
        block.register_forward_pre_hook(lambda *_, name=name: seen.append(name))
    names = list(watched)
    for feature in names[:-1]:
        denoiser = DiffusersDenoiser(
            unet, pipeline.scheduler, DiffusersDenoiser.from_pipeline(pipeline).conditioning, feature=feature
        )
        seen.clear()
        denoiser.encode(latents(denoiser, 1), SIGMA)
        assert seen == names[: names.index(feature) + 1]
    seen.clear()
    denoiser.denoise(latents(denoiser, 1), SIGMA)
    assert seen == names


def state(unet):
    """All that using a UNet might leave behind, in a form to compare."""
    return [
        *(
            (
                name,
                module.training,
                getattr(module, "gradient_checkpointing", None),
                list(module._forward_hooks),
                list(module._forward_pre_hooks),
                vars(module).get("forward"),
            )
            for name, module in unet.named_modules()
        ),
        *(
            (name, weight.requires_grad, weight.dtype, weight.grad, weight._version)
            for name, weight in unet.named_parameters()
        ),
        *sorted((name, id(processor)) for name, processor in unet.attn_processors.items()),
    ]


@pytest.mark.parametrize("kind", ["sd"])
def test_leaving_at_the_feature_is_no_error_to_what_wraps_the_unet(denoiser):
    unet, caught = text_unet(), []
    forward = unet.forward

    def guarded(*positional, **named):
        try:
            return forward(*positional, **named)
        except Exception as error:
            caught.append(error)
            raise

    unet.forward = guarded
    z = latents(denoiser, 1)
    h = DiffusersDenoiser(unet, ddim_scheduler(), denoiser.conditioning).encode(z, SIGMA)
    assert torch.equal(h, denoiser.encode(z, SIGMA)) and not caught


class Broken(Exception):
    pass


@pytest.mark.parametrize("kind", ["sd"])
def test_the_unet_is_left_as_it_was_found(denoiser):
    unet = text_unet(dropout=0.5)
    unet.eval().enable_gradient_checkpointing()
    unet.mid_block.train()
    unet.down_blocks[0].requires_grad_(False)
    unet.mid_block.register_forward_hook(lambda *_: None)
    denoiser = DiffusersDenoiser(unet, ddim_scheduler(), denoiser.conditioning)
    before, z = state(unet), latents(denoiser, 1)
    local_basis(denoiser, z, SIGMA, 2, max_products=8)
    ddim.generate(denoiser, z, [SIGMA, 0.0])
    assert state(unet) == before
    for error in (Broken, KeyboardInterrupt):

        def fail(*_, error=error):
            raise error

        hook = unet.mid_block.resnets[0].register_forward_pre_hook(fail)
        broken = state(unet)
        for function in (denoiser.encode, denoiser.denoise):
            with pytest.raises(error):
                function(z, SIGMA)
            assert state(unet) == broken
        hook.remove()
    assert state(unet) == before


@pytest.mark.parametrize("kind", ["sd"])
def test_dropout_and_checkpointing_are_off_for_the_time(denoiser):
    training = text_unet(dropout=0.5).train()
    training.enable_gradient_checkpointing()
    other = DiffusersDenoiser(training, ddim_scheduler(), denoiser.conditioning)
    z = latents(denoiser, 1)
    assert torch.equal(other.encode(z, SIGMA), denoiser.encode(z, SIGMA))
    assert torch.equal(other.denoise(z, SIGMA), denoiser.denoise(z, SIGMA))
    assert adjoint_error(Jacobian(lambda points: other.encode(points, SIGMA), z[0])) < 1e-5


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 0.005), (torch.bfloat16, 0.04)])
def test_half_precision_stays_inside_the_unet(denoiser, dtype, tolerance):
    scheduler = ddim_scheduler(prediction_type="sample")
    half, denoiser = (
        DiffusersDenoiser(unet, scheduler, denoiser.conditioning)
        for unet in (copy.deepcopy(denoiser.unet).to(dtype), denoiser.unet)
    )
    z = latents(denoiser, 1)
    with torch.no_grad():
        for function, exact in ((half.encode, denoiser.encode), (half.denoise, denoiser.denoise)):
            found = function(z, SIGMA)
            assert found.dtype == torch.float32 and ddim.relative_error(found, exact(z, SIGMA)) < tolerance
    jacobians = [
        Jacobian(lambda points, one=one: one.encode(points, SIGMA), z[0]) for one in (half, denoiser)
    ]
    v = latents(denoiser, 2, seed=1) / z[0].numel() ** 0.5
    found, exact = (jacobian.jvp(v) for jacobian in jacobians)
    assert found.dtype == torch.float32 and ddim.relative_error(found, exact) < 2 * tolerance
    assert adjoint_error(jacobians[0]) < 0.02


def test_a_basis_can_be_found_within_inference_mode(pipeline, kind):
    z = draw(1, pipeline.unet.config["in_channels"], 8, 8)
    expected = local_basis(DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind]), z, SIGMA, 2)
    with torch.inference_mode():
        found = local_basis(DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind]), z.clone(), SIGMA, 2)
    torch.testing.assert_close(found.s, expected.s)


def test_memory_formats_make_no_difference(denoiser):
    unet = copy.deepcopy(denoiser.unet).to(memory_format=torch.channels_last)
    other = DiffusersDenoiser(unet, ddim_scheduler(), denoiser.conditioning)
    z, v = latents(denoiser, 1)[0], latents(denoiser, 2, seed=1)
    found, expected = (
        Jacobian(lambda points, one=one: one.encode(points, SIGMA), z).jvp(v) for one in (other, denoiser)
    )
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


CPU = torch.device("cpu")


def layerwise(storage, compute):
    return lambda unet: unet.enable_layerwise_casting(storage_dtype=storage, compute_dtype=compute)


def offloaded_in_groups(**options):
    return lambda unet: unet.enable_group_offload(CPU, CPU, **options)


def offloaded_to_disk(unet, folder):
    accelerate.disk_offload(unet, folder, execution_device=CPU)


def groups_on_disk(unet, folder):
    unet.enable_group_offload(CPU, CPU, offload_type="leaf_level", offload_to_disk_path=str(folder))


def layers_of(unet):
    return [layer for layer in unet.modules() if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)]


def overwritten_after_use(unet):
    """Weights that are copied into place for their layer, and zeroed behind it; autograd does not notice."""
    for layer in layers_of(unet):
        kept = layer.weight.detach().clone()

        def load(layer, _, kept=kept):
            layer.weight.data.copy_(kept)

        def drop(layer, *_):
            layer.weight.data.zero_()

        layer.register_forward_pre_hook(load)
        layer.register_forward_hook(drop)


def in_one_buffer(unet):
    """All layers take turns in one buffer."""
    buffer = torch.zeros(max(layer.weight.numel() for layer in layers_of(unet)))
    for layer in layers_of(unet):
        kept = layer.weight.detach().clone()

        def load(layer, _, kept=kept):
            layer.weight.data = buffer[: kept.numel()].view_as(kept).copy_(kept)

        layer.register_forward_pre_hook(load)


class Quantised(torch.nn.Module):
    """A linear layer of 8-bit weights, unpacked into a buffer that all such layers share."""

    buffer = torch.zeros(2**12)

    def __init__(self, layer):
        super().__init__()
        self.scale = layer.weight.detach().abs().max() / 127
        self.register_buffer("packed", (layer.weight.detach() / self.scale).round().to(torch.int8))
        self.bias = layer.bias

    def forward(self, x):
        weight = self.buffer[: self.packed.numel()].view_as(self.packed).copy_(self.packed).mul_(self.scale)
        return torch.nn.functional.linear(x, weight, self.bias)


def quantised(unet):
    for parent in list(unet.modules()):
        for name, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear:
                setattr(parent, name, Quantised(layer))


def compiled_in_place(unet):
    unet.compile(backend="eager")


def compiled_in_parts(unet):
    unet.mid_block = torch.compile(unet.mid_block, backend="aot_eager")
    unet.down_blocks[0].compile(backend="eager")


def cached(unet):
    diffusers.hooks.HookRegistry.check_if_exists_or_initialize(unet.mid_block).register_hook(
        Cache(), "a_cache"
    )


class Cache(diffusers.hooks.ModelHook):
    _is_stateful = True


WAYS_TO_HOLD_WEIGHTS = {
    "layerwise float16": (layerwise(torch.float16, torch.float32), 2e-3),
    "layerwise float8": (layerwise(torch.float8_e4m3fn, torch.float32), 0.2),
    "layerwise float8 in bfloat16": (layerwise(torch.float8_e4m3fn, torch.bfloat16), 0.2),
    "layerwise float8 in float16": (layerwise(torch.float8_e4m3fn, torch.float16), 0.2),
    "cpu_offload": (lambda unet: accelerate.cpu_offload(unet, execution_device=CPU), 1e-5),
    "cpu_offload with buffers": (
        lambda unet: accelerate.cpu_offload(unet, execution_device=CPU, offload_buffers=True),
        1e-5,
    ),
    "cpu_offload_with_hook": (
        lambda unet: accelerate.cpu_offload_with_hook(unet, execution_device=CPU),
        1e-5,
    ),
    "disk_offload": (offloaded_to_disk, 1e-5),
    "groups of leaves": (offloaded_in_groups(offload_type="leaf_level"), 1e-5),
    "groups of blocks": (offloaded_in_groups(offload_type="block_level", num_blocks_per_group=1), 1e-5),
    "groups on disk": (groups_on_disk, 1e-5),
    "overwritten": (overwritten_after_use, 1e-5),
    "one buffer": (in_one_buffer, 1e-5),
    "quantised": (quantised, 0.02),
    "compiled in place": (compiled_in_place, 1e-5),
    "compiled in parts": (compiled_in_parts, 1e-5),
}


def everything_about(unet):
    """The last block's h, J v and J^T u, a prediction of a UNet, and singular values."""
    denoiser, z = (
        DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning(), feature="up_1"),
        draw(4, 8, 8),
    )
    jacobian = Jacobian(lambda points: denoiser.encode(points, SIGMA), z)
    products = jacobian.jvp(draw(2, 4, 8, 8, seed=1)), jacobian.vjp(draw(2, *jacobian.out_shape, seed=2))
    return (
        jacobian.value,
        *products,
        denoiser.denoise(z[None], SIGMA),
        local_basis(denoiser, z, SIGMA, 2, seed=1).s,
    )


@pytest.fixture(scope="module")
def plain():
    """Everything about the UNet as it is."""
    return everything_about(text_unet().eval())


@pytest.mark.parametrize("way", WAYS_TO_HOLD_WEIGHTS)
def test_weights_that_live_only_while_their_layer_runs_give_the_plain_unets_numbers(way, plain, tmp_path):
    hold, tolerance = WAYS_TO_HOLD_WEIGHTS[way]
    unet = text_unet().eval()
    hold(unet, *([tmp_path] if hold in (offloaded_to_disk, groups_on_disk) else []))
    for found, exact in zip(everything_about(unet), plain, strict=True):
        assert found.dtype == exact.dtype and ddim.relative_error(found, exact) < tolerance


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


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_around_changes_nothing(pipelines, plain, dtype):
    with autocast("cpu", dtype):
        found = everything_about(text_unet().eval())
        explained = singular_values_explained()
        conditioning = DiffusersDenoiser.from_pipeline(pipelines["sd"], "a hat").conditioning
        latent = encode_image(pipelines["sd"], draw(1, 3, 16, 16))
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    for one, other in zip(found, plain, strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(explained, singular_values_explained())
    torch.testing.assert_close(
        conditioning, DiffusersDenoiser.from_pipeline(pipelines["sd"], "a hat").conditioning
    )
    torch.testing.assert_close(latent, encode_image(pipelines["sd"], draw(1, 3, 16, 16)))


def singular_values_explained():
    denoiser = DiffusersDenoiser(text_unet(), ddim_scheduler(), text_conditioning())
    return explain_features([denoiser], draw(4, 8, 8), SIGMA, 2)[0].s


def test_a_unet_spread_over_devices_serves(plain):
    for found, exact in zip(everything_about(torch.nn.DataParallel(text_unet().eval())), plain, strict=True):
        assert torch.equal(found, exact)


class XFormersAttnProcessor(diffusers.models.attention_processor.AttnProcessor2_0):
    """Stands for that of a library which is not installed here."""


@pytest.mark.parametrize(
    "change, message",
    [
        (
            lambda unet: unet.set_attn_processor(XFormersAttnProcessor()),
            "XFormersAttnProcessor.*disable_xformers",
        ),
        (cached, "cache.*a_cache"),
    ],
    ids=["xformers", "cache"],
)
def test_what_has_no_derivative_is_refused(change, message):
    unet = text_unet()
    change(unet)
    denoiser = DiffusersDenoiser(unet, ddim_scheduler(), text_conditioning())
    with pytest.raises(ValueError, match=message):
        denoiser.encode(draw(1, 4, 8, 8), SIGMA)


class Packed(torch.autograd.Function):
    """A layer as quantising libraries write it, whose backward pass can be differentiated."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.weight = weight
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient):
        return gradient @ ctx.weight, None, None


class PackedOnce(Packed):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient @ ctx.weight, None, None


class PackedByHand(Packed):
    @staticmethod
    def backward(ctx, gradient):
        return (gradient.detach() @ ctx.weight).detach(), None, None


def with_layers_of(function):
    unet = text_unet().eval()
    for layer in layers_of(unet):
        if isinstance(layer, torch.nn.Linear):
            layer.forward = lambda x, layer=layer: function.apply(x, layer.weight.detach(), layer.bias)
    return unet


def test_functions_of_other_libraries_are_used_where_they_have_a_second_derivative(plain):
    for found, exact in zip(everything_about(with_layers_of(Packed)), plain, strict=True):
        assert ddim.relative_error(found, exact) < 1e-5


@pytest.mark.parametrize("function", [PackedOnce, PackedByHand])
def test_functions_of_other_libraries_without_a_second_derivative_are_refused(function):
    with pytest.raises(
        ValueError, match=f"computes with {function.__name__}.*second derivative.*quantisation"
    ) as refused:
        everything_about(with_layers_of(function))
    assert "\n" not in str(refused.value)


def test_zero_snr_and_tiny_betas_are_accepted():
    for options in (
        {"rescale_betas_zero_snr": True},
        {"beta_start": 0.0015, "beta_end": 0.0195, "rescale_betas_zero_snr": True},
        {"beta_start": 1e-9},
    ):
        for kind in ("DDIM", "DDPM", "EulerDiscrete", "DPMSolverMultistep"):
            for shape in ("linear", "scaled_linear", "squaredcos_cap_v2"):
                scheduler = getattr(diffusers, f"{kind}Scheduler")(beta_schedule=shape, **options)
                schedule = DiffusersDenoiser(unconditional_unet(), scheduler).schedule
                indices = schedule.timestep(torch.exp(schedule.log_sigmas)).round()
                assert (
                    torch.equal(indices.long(), torch.arange(1000)) and (schedule.log_sigmas.diff() > 0).all()
                )
                exact = torch.cumprod(1 - scheduler.betas.double(), dim=0)
                expected = (0.5 * torch.log((1 - exact) / exact))[:-1]
                torch.testing.assert_close(schedule.log_sigmas[:-1], expected, rtol=0, atol=5e-3)


@pytest.mark.parametrize("kind", ["sd"])
def test_a_compiled_unet_serves_uncompiled(denoiser):
    compiled = DiffusersDenoiser(torch.compile(denoiser.unet), ddim_scheduler(), denoiser.conditioning)
    z = latents(denoiser, 1)
    assert torch.equal(compiled.encode(z, SIGMA), denoiser.encode(z, SIGMA))
    assert compiled.provenance["model"] == denoiser.provenance["model"]


def test_a_learned_variance_is_left_out():
    unet = unconditional_unet(out_channels=6)
    denoiser, x = DiffusersDenoiser(unet, ddim_scheduler(prediction_type="sample")), draw(2, 3, 8, 8)
    z, timestep = denoiser.schedule.to_network(x, SIGMA), denoiser.schedule.timestep(SIGMA).round()
    with torch.no_grad():
        torch.testing.assert_close(denoiser.denoise(x, SIGMA), unet.eval()(z, timestep).sample[:, :3])


def test_noise_levels_are_the_schedulers():
    for scheduler in (
        ddim_scheduler(),
        diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        diffusers.EulerDiscreteScheduler(),
        diffusers.PNDMScheduler(),
        diffusers.DPMSolverMultistepScheduler(),
    ):
        schedule = DiffusersDenoiser(unconditional_unet(), scheduler).schedule
        assert schedule.sigma_max == pytest.approx(sigma_at(scheduler, -1)) and schedule.sigma(
            0.0
        ) == pytest.approx(sigma_at(scheduler, 0))
    zero_snr = DiffusersDenoiser(
        unconditional_unet(), ddim_scheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    )
    assert zero_snr.schedule.sigma_max == pytest.approx(2**12, rel=1e-3)


def test_a_fingerprint_tells_weights_apart():
    one, same, other = (unconditional_unet() for _ in range(3))
    with torch.no_grad():
        other.conv_out.bias[0] += 1
    one, same, other = (
        DiffusersDenoiser(unet, ddim_scheduler()).provenance["model"] for unet in (one, same, other)
    )
    assert one == same != other and len(one) == 16 and int(one, 16)


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


def without_text_encoding():
    pipeline = diffusers.DiffusionPipeline()
    pipeline.register_modules(unet=text_unet(), scheduler=ddim_scheduler())
    return pipeline


def unet_with_a_block_that_is_never_called():
    unet = unconditional_unet()
    unet.forward = lambda z, *_, **__: (z,)
    return unet


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda _: DiffusersDenoiser(autoencoder(), ddim_scheduler()),
            "diffusers UNet is needed.*AutoencoderKL",
        ),
        (lambda _: DiffusersDenoiser(text_unet(in_channels=9), ddim_scheduler()), "9 channels and returns 4"),
        (
            lambda _: DiffusersDenoiser(text_unet(), ddim_scheduler(), feature="bottom"),
            "'bottom'.*down_0, down_1, middle, up_0, up_1",
        ),
        (
            lambda _: DiffusersDenoiser(text_unet(mid_block_type=None), ddim_scheduler()),
            "'middle'.*down_0, down_1, up_0, up_1",
        ),
        (
            lambda _: DiffusersDenoiser(text_unet(), diffusers.FlowMatchEulerDiscreteScheduler()),
            "alphas_cumprod.*FlowMatchEuler",
        ),
        (lambda _: DiffusersDenoiser(text_unet(), diffusers.EDMEulerScheduler()), "alphas_cumprod.*EDMEuler"),
        (
            lambda _: DiffusersDenoiser(
                text_unet(),
                diffusers.EulerDiscreteScheduler(
                    timestep_type="continuous", sigma_min=0.1, sigma_max=9.0, prediction_type="v_prediction"
                ),
            ),
            "continuous",
        ),
        (
            lambda _: DiffusersDenoiser(diffusers.UNet1DModel(), ddim_scheduler()),
            "UNet2DConditionModel.*UNet1DModel",
        ),
        (lambda _: DiffusersDenoiser(text_unet(), ddim_scheduler()), "lacks encoder_hidden_states"),
        (
            lambda _: DiffusersDenoiser(xl_unet(), ddim_scheduler(), text_conditioning()),
            r"lacks.*'text_embeds'\], .*'time_ids'\]",
        ),
        (
            lambda _: DiffusersDenoiser(with_ip_adapter(text_unet()), ddim_scheduler(), text_conditioning()),
            "lacks.*image_embeds",
        ),
        (
            lambda _: DiffusersDenoiser(text_unet(num_class_embeds=3), ddim_scheduler(), text_conditioning()),
            "lacks class_labels",
        ),
        (
            lambda _: DiffusersDenoiser(text_unet().to("meta"), ddim_scheduler(), text_conditioning()),
            "conv_in.weight is not loaded",
        ),
        (
            lambda _: DiffusersDenoiser(text_unet(), ddim_scheduler(), text_conditioning()).denoise(
                draw(1, 4, 8, 8), 4518.0
            ),
            "up to 14.*4518",
        ),
        (
            lambda _: local_basis(
                DiffusersDenoiser(unconditional_unet(), ddim_scheduler()), draw(3, 8, 8), 4518.0, 2
            ),
            "up to 14.*4518",
        ),
        (
            lambda _: DiffusersDenoiser(
                text_unet(), diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction")
            ),
            "'flow_prediction'",
        ),
        (
            lambda _: DiffusersDenoiser(
                text_unet(), ddim_scheduler(), {"encoder_hidden_states": torch.ones(2, 3, 12)}
            ),
            r"batch 1.*\(2, 3, 12\)",
        ),
        (
            lambda _: DiffusersDenoiser(text_unet(), ddim_scheduler(), {"added": {"ids": [torch.tensor(1)]}}),
            r"batch 1.*\(\)",
        ),
        (
            lambda _: DiffusersDenoiser.from_pipeline(diffusers.DiffusionPipeline()),
            "with a UNet.*DiffusionPipeline",
        ),
        (lambda _: DiffusersDenoiser.from_pipeline(without_text_encoding()), "more than a prompt"),
        (
            lambda ready: DiffusersDenoiser.from_pipeline(ready["unconditional"], "a hat"),
            "unconditional.*'a hat'",
        ),
        (
            lambda ready: DiffusersDenoiser.from_pipeline(
                made_of(ready["sd"], diffusers.StableDiffusionPipeline, text_unet(), text_encoder=None)
            ),
            "no text encoder",
        ),
        (lambda ready: DiffusersDenoiser.from_pipeline(ready["sd"], ["a hat", "a dog"]), "one prompt.*list"),
    ],
)
def test_what_cannot_serve_is_refused_in_one_sentence(pipelines, call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call(pipelines)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_block_that_is_never_called_is_named():
    denoiser = DiffusersDenoiser(unet_with_a_block_that_is_never_called(), ddim_scheduler())
    with pytest.raises(RuntimeError, match="without calling its block 'middle'"):
        denoiser.encode(draw(1, 3, 8, 8), SIGMA)
