"""A denoiser of diffusers computes what the UNet and the pipeline compute, and its products are right."""

import copy

import pytest
import torch
from tiny_pipelines import (
    PROMPT,
    SIGMA,
    ddim_scheduler,
    differences,
    draw,
    everything_about,
    in_double,
    jacobian_at,
    latents,
    noisy_latent,
    normal_latents,
    refused_in_one_sentence,
    sigma_at,
    text_conditioning,
    text_unet,
    unconditional_unet,
)
from torch import autocast

from pullback_core import (
    NoisyLatent,
    PullbackBasis,
    adjoint_error,
    compare_features,
    ddim,
    edit,
    local_bases,
    local_basis,
    parallel_transport,
)
from pullback_core.models.diffusers import DiffusersDenoiser, encode_image
from pullback_core.models.fingerprint import prompt_hash


@pytest.mark.parametrize("feature", ["middle", "down_0", "down_1", "up_0", "up_1", "picture"])
def test_jacobian_products_are_differences_of_the_unets_own_forward(pipeline, kind, feature):
    denoiser, reference = in_double(DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind], feature=feature))
    x = latents(denoiser, 1, dtype=torch.float64)
    v = normal_latents(denoiser, 2, seed=1, dtype=torch.float64)
    jacobian = jacobian_at(denoiser, x[0])
    torch.testing.assert_close(denoiser.encode(x, SIGMA), reference(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(jacobian.jvp(v), differences(reference, x[0], v), rtol=1e-5, atol=1e-6)
    assert adjoint_error(jacobian) < 1e-12


def test_rows_and_columns_agree_in_single_precision(denoiser):
    assert adjoint_error(jacobian_at(denoiser, latents(denoiser, 1)[0])) < 1e-5


def test_a_basis_is_the_decomposition_of_the_matrix_of_differences(denoiser):
    x = latents(denoiser, 1)
    _, reference = in_double(denoiser)
    every = torch.eye(x.numel(), dtype=torch.float64).view(-1, *x.shape[1:])
    # The basis is that of z -> h, and x = scale * z.
    matrix = denoiser.schedule.scale(SIGMA) * differences(reference, x[0].double(), every).flatten(1).T
    basis = local_basis(denoiser, noisy_latent(x), 2, tolerance=1e-4, seed=1)
    _, s, v = torch.linalg.svd(matrix)
    torch.testing.assert_close(basis.s.double(), s[:2], rtol=1e-3, atol=0)
    assert basis.converged and (v[:2] * basis.v.flatten(1)).sum(dim=1).abs().min() > 0.999


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_denoise_predicts_the_same_x0_as_a_scheduler(pipeline, prediction):
    scheduler = ddim_scheduler(prediction_type=prediction)
    scheduler.set_timesteps(10)
    conditioning = DiffusersDenoiser.from_pipeline(pipeline).conditioning
    denoiser = DiffusersDenoiser(pipeline.unet, scheduler, conditioning)
    z = normal_latents(denoiser, 1)
    for timestep in (900, 501, 3):
        sigma = sigma_at(scheduler, timestep)
        with torch.no_grad():
            predicted = copy.deepcopy(pipeline.unet).eval()(z, timestep, **conditioning).sample
            found = denoiser.denoise(denoiser.schedule.from_network(z, sigma), sigma)
        torch.testing.assert_close(
            found, scheduler.step(predicted, timestep, z).pred_original_sample, rtol=1e-4, atol=1e-4
        )


def test_generation_is_the_pipelines_own(pipeline, kind, denoiser):
    scheduler, z = pipeline.scheduler, normal_latents(denoiser, 2)
    scheduler.set_timesteps(8)
    sigmas = [*(sigma_at(scheduler, timestep) for timestep in scheduler.timesteps), 0.0]
    x = denoiser.schedule.from_network(z, sigmas[0])
    found = ddim.generate(denoiser, NoisyLatent(x, torch.tensor(sigmas)))
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
    x0, sigmas = normal_latents(denoiser, 2), denoiser.schedule.sigmas(8, start=0.6)
    errors = {}
    for refine in (0, 4):
        noisy = ddim.invert(denoiser, x0, sigmas, refine=refine)
        errors[refine] = ddim.relative_error(ddim.generate(denoiser, noisy), x0)
    assert errors[4] < min(1e-3, errors[0] / 10)


def test_a_direction_is_found_saved_followed_and_carried(denoiser, kind, tmp_path):
    one, other = local_bases(denoiser, noisy_latent(latents(denoiser, 2)), 3, seed=1)
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
    noisy = noisy_latent(latents(denoiser, 1))
    there, back = (
        edit(denoiser, noisy, one.direction(0), strength=strength, steps=2).x - noisy.x
        for strength in (1.0, -1.0)
    )
    assert (there * back).sum() < 0 < there.norm()


def test_samples_of_a_batch_do_not_see_each_other(denoiser):
    x = latents(denoiser, 3)
    with torch.no_grad():
        for function in (denoiser.encode, denoiser.denoise):
            alone = torch.cat([function(sample[None], SIGMA) for sample in x])
            torch.testing.assert_close(function(x, SIGMA), alone, rtol=1e-4, atol=1e-5)


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
    x = latents(denoiser, 1)
    h = DiffusersDenoiser(unet, ddim_scheduler(), denoiser.conditioning).encode(x, SIGMA)
    assert torch.equal(h, denoiser.encode(x, SIGMA)) and not caught


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_feature_picture_is_the_predicted_picture(pipeline, prediction):
    conditioning = DiffusersDenoiser.from_pipeline(pipeline).conditioning
    scheduler = ddim_scheduler(prediction_type=prediction)
    denoiser = DiffusersDenoiser(pipeline.unet, scheduler, conditioning, feature="picture")
    x = latents(denoiser, 2)
    h = denoiser.encode(x, SIGMA)
    assert denoiser.provenance["feature"] == "picture" and h.shape == x.shape
    torch.testing.assert_close(h, denoiser.denoise(x, SIGMA))
    assert adjoint_error(jacobian_at(denoiser, x[0])) < 1e-5


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 0.005), (torch.bfloat16, 0.04)])
def test_half_precision_stays_inside_the_unet(denoiser, dtype, tolerance):
    scheduler = ddim_scheduler(prediction_type="sample")
    half, denoiser = (
        DiffusersDenoiser(unet, scheduler, denoiser.conditioning)
        for unet in (copy.deepcopy(denoiser.unet).to(dtype), denoiser.unet)
    )
    x = latents(denoiser, 1)
    with torch.no_grad():
        for function, exact in ((half.encode, denoiser.encode), (half.denoise, denoiser.denoise)):
            found = function(x, SIGMA)
            assert found.dtype == torch.float32 and ddim.relative_error(found, exact(x, SIGMA)) < tolerance
    jacobians = [jacobian_at(one, x[0]) for one in (half, denoiser)]
    v = normal_latents(denoiser, 2, seed=1) / x[0].numel() ** 0.5
    found, exact = (jacobian.jvp(v) for jacobian in jacobians)
    assert found.dtype == torch.float32 and ddim.relative_error(found, exact) < 2 * tolerance
    assert adjoint_error(jacobians[0]) < 0.02


def test_a_basis_can_be_found_within_inference_mode(pipeline, kind):
    x = draw(1, pipeline.unet.config["in_channels"], 8, 8)
    expected = local_basis(DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind]), noisy_latent(x), 2)
    with torch.inference_mode():
        denoiser = DiffusersDenoiser.from_pipeline(pipeline, PROMPT[kind])
        found = local_basis(denoiser, noisy_latent(x.clone()), 2)
    torch.testing.assert_close(found.s, expected.s)


def test_memory_formats_make_no_difference(denoiser):
    unet = copy.deepcopy(denoiser.unet).to(memory_format=torch.channels_last)
    other = DiffusersDenoiser(unet, ddim_scheduler(), denoiser.conditioning)
    x, v = latents(denoiser, 1)[0], normal_latents(denoiser, 2, seed=1)
    found, expected = (jacobian_at(one, x).jvp(v) for one in (other, denoiser))
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_a_learned_variance_is_left_out():
    unet = unconditional_unet(out_channels=6)
    denoiser, x = DiffusersDenoiser(unet, ddim_scheduler(prediction_type="sample")), draw(2, 3, 8, 8)
    z, timestep = denoiser.schedule.to_network(x, SIGMA), denoiser.schedule.timestep(SIGMA).round()
    with torch.no_grad():
        expected = unet.eval()(z, timestep).sample[:, :3]
        picture = DiffusersDenoiser(unet, ddim_scheduler(prediction_type="sample"), feature="picture")
        torch.testing.assert_close(denoiser.denoise(x, SIGMA), expected)
        torch.testing.assert_close(picture.encode(x, SIGMA), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_around_changes_nothing(pipelines, plain, dtype):
    with autocast("cpu", dtype):
        found = everything_about(text_unet().eval())
        compared = singular_values_compared()
        conditioning = DiffusersDenoiser.from_pipeline(pipelines["sd"], "a hat").conditioning
        latent = encode_image(pipelines["sd"], draw(1, 3, 16, 16))
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    for one, other in zip(found, plain, strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(compared, singular_values_compared())
    expected = DiffusersDenoiser.from_pipeline(pipelines["sd"], "a hat").conditioning
    torch.testing.assert_close(conditioning, expected)
    torch.testing.assert_close(latent, encode_image(pipelines["sd"], draw(1, 3, 16, 16)))


def singular_values_compared():
    denoiser = DiffusersDenoiser(text_unet(), ddim_scheduler(), text_conditioning())
    return compare_features([denoiser], noisy_latent(draw(1, 4, 8, 8)), 2)[0].s


def unet_with_a_block_that_is_never_called():
    unet = unconditional_unet()
    unet.forward = lambda z, *_, **__: (z,)
    return unet


def test_a_block_that_is_never_called_is_named():
    denoiser = DiffusersDenoiser(unet_with_a_block_that_is_never_called(), ddim_scheduler())
    with pytest.raises(RuntimeError, match="without calling its block 'middle'"):
        denoiser.encode(draw(1, 3, 8, 8), SIGMA)


@pytest.mark.parametrize("use", ["denoise", "basis"])
def test_a_noise_level_that_the_model_lacks_is_refused(use):
    denoiser, x = DiffusersDenoiser(unconditional_unet(), ddim_scheduler()), draw(1, 3, 8, 8)

    def call():
        if use == "denoise":
            denoiser.denoise(x, 4518.0)
        else:
            local_basis(denoiser, NoisyLatent(x, torch.tensor([4518.0, 0.0])), 2)

    refused_in_one_sentence("up to 14.*4518", call)
