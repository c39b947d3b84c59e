"""UNet pipelines of diffusers, made small and of random weights: nothing is downloaded."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed, so its pipelines are not tested")
transformers = pytest.importorskip("transformers", reason="transformers is not installed, so diffusers' pipelines are not tested")

from pullback_core import Jacobian, PullbackBasis, adjoint_error, ddim, local_basis, parallel_transport, x_space_guidance  # noqa: E402
from pullback_core.basis import prompt_hash  # noqa: E402
from pullback_core.diffusers import DiffusersDenoiser, decode_latent, encode_image  # noqa: E402

KINDS = ("unconditional", "sd", "sdxl")
PROMPT = {"unconditional": "", "sd": "a hat", "sdxl": "a hat"}
WIDTH = 12  # of a text encoder
SIGMA = 2.0
SMALL = dict(sample_size=8, block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4)


def ddim_scheduler(**options):
    return diffusers.DDIMScheduler(**{"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
                                      "clip_sample": False, "steps_offset": 1, **options})


def unconditional_unet(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DModel(**{
        **SMALL, "in_channels": 3, "out_channels": 3, "attention_head_dim": 4,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "up_block_types": ("AttnUpBlock2D", "UpBlock2D"), **options,
    })


def text_unet(**options):
    torch.manual_seed(0)
    return diffusers.UNet2DConditionModel(**{
        **SMALL, "in_channels": 4, "out_channels": 4, "attention_head_dim": 4, "cross_attention_dim": WIDTH,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), **options,
    })


def xl_unet():
    return text_unet(cross_attention_dim=2 * WIDTH, addition_embed_type="text_time", addition_time_embed_dim=4,
                     projection_class_embeddings_input_dim=6 * 4 + WIDTH)


def autoencoder(**options):
    return diffusers.AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4, norm_num_groups=4, sample_size=16, **options,
    ).eval()


def text_encoder(kind):
    return kind(transformers.CLIPTextConfig(
        vocab_size=54, hidden_size=WIDTH, projection_dim=WIDTH, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=52, eos_token_id=53,
    )).eval()


def tokenizer(folder):
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16)


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    words = tokenizer(tmp_path_factory.mktemp("tokenizer"))
    encoder, projecting = text_encoder(transformers.CLIPTextModel), text_encoder(transformers.CLIPTextModelWithProjection)
    return {
        "unconditional": diffusers.DDIMPipeline(unconditional_unet(), ddim_scheduler(steps_offset=0)),
        "sd": diffusers.StableDiffusionPipeline(
            autoencoder(), encoder, words, text_unet(), ddim_scheduler(), None, None, requires_safety_checker=False
        ),
        "sdxl": diffusers.StableDiffusionXLPipeline(
            autoencoder(), encoder, projecting, words, words, xl_unet(), ddim_scheduler(), add_watermarker=False
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
    hook = pipeline.unet.register_forward_pre_hook(lambda _, positional, named: calls.append(named), with_kwargs=True)
    pipeline(prompt, guidance_scale=1.0, num_inference_steps=1, output_type="latent", **options)
    hook.remove()
    return {name: calls[0].get(name) for name in ("encoder_hidden_states", "added_cond_kwargs") if calls[0].get(name) is not None}


def in_double(denoiser):
    """The same denoiser in float64, and its map x_t -> h by an ordinary hook on the UNet's own unmodified forward."""
    unet = copy.deepcopy(denoiser.unet).double()
    doubled = copy.copy(denoiser)
    doubled.__init__(unet, ddim_scheduler(), denoiser.conditioning, feature=denoiser.feature)
    own, outputs = copy.deepcopy(unet).eval(), []
    kind, _, index = denoiser.feature.partition("_")
    block = own.mid_block if kind == "middle" else getattr(own, f"{kind}_blocks")[int(index)]
    block.register_forward_hook(lambda _, inputs, output: outputs.append(output[0] if isinstance(output, tuple) else output))
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
    script = "import sys, pullback_core, pullback_core.diffusers; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent.parent, check=True, capture_output=True, text=True)
    assert "pullback_core.diffusers" in done.stdout.split() and not {"diffusers", "transformers"} & set(done.stdout.split())


@pytest.mark.parametrize("feature", ["middle", "down_0", "down_1", "up_0", "up_1"])
def test_jacobian_products_are_differences_of_the_unets_own_forward(pipeline, kind, feature):
    denoiser, reference = in_double(DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind], feature=feature))
    z, v = latents(denoiser, 1, dtype=torch.float64)[0], latents(denoiser, 2, seed=1, dtype=torch.float64)
    jacobian = Jacobian(lambda points: denoiser.encode(points, SIGMA), z)
    torch.testing.assert_close(denoiser.encode(z[None], SIGMA), reference(z[None]), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(jacobian.jvp(v), differences(reference, z, v), rtol=1e-5, atol=1e-6)
    assert adjoint_error(jacobian) < 1e-12


def test_rows_and_columns_agree_in_single_precision(denoiser):
    assert adjoint_error(Jacobian(lambda points: denoiser.encode(points, SIGMA), latents(denoiser, 1)[0])) < 1e-5


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
        torch.testing.assert_close(found, scheduler.step(predicted, timestep, z).pred_original_sample, rtol=1e-4, atol=1e-4)


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
            PROMPT[kind], latents=z, guidance_scale=1.0, num_inference_steps=8, num_images_per_prompt=2, output_type="latent",
            height=16, width=16,
        ).images
    else:
        expected = z
        with torch.no_grad():
            for timestep in scheduler.timesteps:
                expected = scheduler.step(pipeline.unet(expected, timestep).sample, timestep, expected).prev_sample
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)


def test_a_picture_comes_back_from_its_noise(denoiser):
    x0, sigmas = latents(denoiser, 2), denoiser.schedule.sigmas(8, start=0.6)
    errors = [
        ddim.relative_error(ddim.generate(denoiser, ddim.invert(denoiser, x0, sigmas.flip(0), refine=refine), sigmas), x0)
        for refine in (0, 4)
    ]
    assert errors[1] < min(1e-3, errors[0] / 10)


def test_a_direction_is_found_saved_followed_and_carried(denoiser, kind, tmp_path):
    one, other = (local_basis(denoiser, z, SIGMA, 3, seed=1) for z in latents(denoiser, 2))
    one.save(tmp_path / "basis.safetensors")
    assert PullbackBasis.load(tmp_path / "basis.safetensors").provenance == one.provenance == denoiser.provenance
    assert one.provenance["prompt"] == prompt_hash(PROMPT[kind]) and one.provenance["feature"] == "middle"
    carried = parallel_transport(0, one, one)
    assert carried.alignment == pytest.approx(1, abs=1e-3) and abs((carried.direction * one.v[0]).sum()) > 0.999
    assert 0 < parallel_transport(0, one, other).alignment < 0.999
    z = latents(denoiser, 1)
    there, back = (x_space_guidance(denoiser, z, SIGMA, one.v[0], scale=scale, steps=2)[-1] for scale in (1.0, -1.0))
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
    watched = {"down_0": unet.down_blocks[0], "down_1": unet.down_blocks[1], "middle": unet.mid_block, "up_0": unet.up_blocks[0],
               "up_1": unet.up_blocks[1], "end": unet.conv_out}
    for name, block in watched.items():
        block.register_forward_pre_hook(lambda *_, name=name: seen.append(name))
    names = list(watched)
    for feature in names[:-1]:
        denoiser = DiffusersDenoiser(unet, pipeline.scheduler, DiffusersDenoiser.from_pipeline(pipeline).conditioning, feature=feature)
        seen.clear()
        denoiser.encode(latents(denoiser, 1), SIGMA)
        assert seen == names[: names.index(feature) + 1]
    seen.clear()
    denoiser.denoise(latents(denoiser, 1), SIGMA)
    assert seen == names


def state(unet):
    """All that using a UNet might leave behind, in a form to compare."""
    return [
        *((name, module.training, getattr(module, "gradient_checkpointing", None), list(module._forward_hooks),
           list(module._forward_pre_hooks), vars(module).get("forward")) for name, module in unet.named_modules()),
        *((name, weight.requires_grad, weight.dtype, weight.grad, weight._version) for name, weight in unet.named_parameters()),
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
        DiffusersDenoiser(unet, scheduler, denoiser.conditioning) for unet in (copy.deepcopy(denoiser.unet).to(dtype), denoiser.unet)
    )
    z = latents(denoiser, 1)
    with torch.no_grad():
        for function, exact in ((half.encode, denoiser.encode), (half.denoise, denoiser.denoise)):
            found = function(z, SIGMA)
            assert found.dtype == torch.float32 and ddim.relative_error(found, exact(z, SIGMA)) < tolerance
    jacobians = [Jacobian(lambda points, one=one: one.encode(points, SIGMA), z[0]) for one in (half, denoiser)]
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
    found, expected = (Jacobian(lambda points, one=one: one.encode(points, SIGMA), z).jvp(v) for one in (other, denoiser))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


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
        ddim_scheduler(), diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"), diffusers.EulerDiscreteScheduler(),
        diffusers.PNDMScheduler(), diffusers.DPMSolverMultistepScheduler(),
    ):
        schedule = DiffusersDenoiser(unconditional_unet(), scheduler).schedule
        assert schedule.sigma_max == pytest.approx(sigma_at(scheduler, -1)) and schedule.sigma(0.0) == pytest.approx(sigma_at(scheduler, 0))
    zero_snr = DiffusersDenoiser(unconditional_unet(), ddim_scheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction"))
    assert zero_snr.schedule.sigma_max == pytest.approx(2**12, rel=1e-3)


def test_a_fingerprint_tells_weights_apart():
    one, same, other = (unconditional_unet() for _ in range(3))
    with torch.no_grad():
        other.conv_out.bias[0] += 1
    one, same, other = (DiffusersDenoiser(unet, ddim_scheduler()).provenance["model"] for unet in (one, same, other))
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


def test_pictures_become_latents_by_a_vae_of_another_name():
    torch.manual_seed(0)
    vae = diffusers.VQModel(block_out_channels=(8,), norm_num_groups=4, num_vq_embeddings=16, scaling_factor=0.5).eval()
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


@pytest.mark.parametrize("call, message", [
    (lambda _: DiffusersDenoiser(autoencoder(), ddim_scheduler()), "diffusers UNet is needed.*AutoencoderKL"),
    (lambda _: DiffusersDenoiser(text_unet(in_channels=9), ddim_scheduler()), "9 channels and returns 4"),
    (lambda _: DiffusersDenoiser(text_unet(), ddim_scheduler(), feature="bottom"), "'bottom'.*down_0, down_1, middle, up_0, up_1"),
    (lambda _: DiffusersDenoiser(text_unet(mid_block_type=None), ddim_scheduler()), "'middle'.*down_0, down_1, up_0, up_1"),
    (lambda _: DiffusersDenoiser(text_unet(), diffusers.FlowMatchEulerDiscreteScheduler()), "alphas_cumprod.*FlowMatchEuler"),
    (lambda _: DiffusersDenoiser(text_unet(), diffusers.EDMEulerScheduler()), "alphas_cumprod.*EDMEuler"),
    (lambda _: DiffusersDenoiser(text_unet(), diffusers.UniPCMultistepScheduler(prediction_type="flow_prediction")), "'flow_prediction'"),
    (lambda _: DiffusersDenoiser(text_unet(), ddim_scheduler(), {"encoder_hidden_states": torch.ones(2, 3, 12)}), r"batch 1.*\(2, 3, 12\)"),
    (lambda _: DiffusersDenoiser(text_unet(), ddim_scheduler(), {"added": {"ids": [torch.tensor(1)]}}), r"batch 1.*\(\)"),
    (lambda _: DiffusersDenoiser.from_pipeline(diffusers.DiffusionPipeline()), "with a UNet.*DiffusionPipeline"),
    (lambda _: DiffusersDenoiser.from_pipeline(without_text_encoding()), "more than a prompt"),
    (lambda ready: DiffusersDenoiser.from_pipeline(ready["unconditional"], "a hat"), "unconditional.*'a hat'"),
    (lambda ready: DiffusersDenoiser.from_pipeline(ready["sd"], ["a hat", "a dog"]), "one prompt.*list"),
])
def test_what_cannot_serve_is_refused_in_one_sentence(pipelines, call, message):
    with pytest.raises(ValueError, match=message) as refused:
        call(pipelines)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


def test_a_block_that_is_never_called_is_named():
    denoiser = DiffusersDenoiser(unet_with_a_block_that_is_never_called(), ddim_scheduler())
    with pytest.raises(RuntimeError, match="without calling its block 'middle'"):
        denoiser.encode(draw(1, 3, 8, 8), SIGMA)
