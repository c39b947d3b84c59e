"""Inversion, edits and sampling of flow transformers, against ComfyUI's own samplers."""

import comfy.samplers
import pytest
import torch
from node_calls import sample_custom
from tiny_families import FLOWS
from tiny_models import conditioning_for, latent_for, relative, tiny_model

every_family = pytest.mark.parametrize("family", FLOWS)


@pytest.fixture(scope="module")
def models():
    return {family: tiny_model(family) for family in FLOWS}


def inverted(call, model, conditioning, steps, timestep=0.7, measure=False):
    return call(
        "PullbackDDIMInvert",
        model=model,
        conditioning=conditioning,
        latent=latent_for(model),
        steps=steps,
        timestep=timestep,
        refine=1,
        measure=measure,
    )


@every_family
def test_stock_euler_takes_the_way_back_that_the_core_takes(comfy_host, call, within, models, family):
    """The LATENT and SIGMAS of the inversion mean the same noisy x to SamplerCustom and to the pack."""
    model, conditioning = models[family], conditioning_for(family)
    latent, sigmas, _ = inverted(call, model, conditioning, 6)
    sampled = sample_custom(call, model, conditioning, latent, sigmas)[0]["samples"]
    ours = within(
        model,
        conditioning,
        latent,
        comfy_host.core.ddim.generate,
        sigmas=sigmas,
    )
    assert relative(comfy_host.adapter.clean_latent(model, ours)["samples"], sampled) < 1e-5
    assert relative(latent["samples"], sampled) > 0.1  # the way was not of length zero


@every_family
def test_noise_of_the_hosts_sampler_is_the_noise_that_the_pack_sees(comfy_host, call, within, models, family):
    """A latent that KSampler leaves half way, with noise in it, is the same x to the pack."""
    model, conditioning = models[family], conditioning_for(family)
    seen = []
    model = model.clone()
    model.set_model_unet_function_wrapper(
        lambda apply, given: (
            seen.append(given["input"].clone()),
            apply(given["input"], given["timestep"], **given["c"]),
        )[1]
    )
    sigmas = comfy_host.adapter.ddim_sigmas(model, 4, 0.9)
    halfway = call(
        "SamplerCustom",
        model=model,
        add_noise=True,
        noise_seed=3,
        cfg=1.0,
        positive=conditioning,
        negative=conditioning,
        sampler=comfy.samplers.sampler_object("euler"),
        sigmas=sigmas[:3],
        latent_image=latent_for(model),
    )[0]
    sample_custom(call, model, conditioning, halfway, sigmas[2:])
    x = within(model, conditioning, halfway, lambda denoiser, noisy: noisy.x, sigmas=sigmas[2:])
    expected = seen[2]  # the first evaluation of the second half
    torch.testing.assert_close(x, expected.reshape(x.shape), rtol=1e-4, atol=1e-4)


@every_family
def test_the_whole_way_of_an_edit(comfy_host, call, within, models, family):
    """DDIM Invert -> Pullback Basis -> X-Space Guidance Edit, against the core's own edit."""
    model, conditioning = models[family], conditioning_for(family)
    latent, sigmas, _ = inverted(call, model, conditioning, 4)
    basis = call(
        "PullbackBasis",
        model=model,
        conditioning=conditioning,
        latent=latent,
        sigmas=sigmas,
        rank=2,
        tolerance=0.05,
        seed=0,
        feature="middle",
        precision="as the model",
    )[0]
    assert basis.converged and basis.v.shape[1:] == latent["samples"].squeeze(2).shape[1:]
    (edited,) = call(
        "PullbackGuidanceEdit",
        model=model,
        conditioning=conditioning,
        latent=latent,
        basis=basis,
        direction=1,
        strength=1.0,
        steps=3,
        strengths=1,
        directions=1,
    )
    sigma = float(sigmas[0])

    def core(denoiser, noisy):
        return comfy_host.core.edit(denoiser, noisy, basis.v[0], strength=1.0, steps=3).x - noisy.x

    moved = within(model, conditioning, latent, core, sigmas=sigmas)
    difference = edited["samples"] - latent["samples"]
    assert edited["samples"].shape == latent["samples"].shape
    scale = model.get_model_object("latent_format")
    expected = scale.process_out(moved.reshape(difference.shape) / (1 - sigma)) - scale.process_out(
        torch.zeros_like(difference)
    )
    torch.testing.assert_close(difference, expected, rtol=1e-3, atol=1e-3)
    assert moved.norm() > 1e-3


class Painter:
    """Stands for a VAE: three channels of the latent as a picture, a film of one frame as a film."""

    def decode(self, samples):
        return samples[:, :3].movedim(1, -1).sigmoid()


@pytest.mark.parametrize("family", ["flux", "qwen"])
@pytest.mark.parametrize("mode", ["fast", "full"])
def test_the_visualizer_shows_directions(call, models, family, mode):
    model, conditioning = models[family], conditioning_for(family)
    latent, sigmas, _ = inverted(call, model, conditioning, 3, measure=True)
    shared = {"model": model, "conditioning": conditioning, "latent": latent, "sigmas": sigmas}
    basis = call(
        "PullbackBasis", **shared, rank=2, tolerance=0.1, seed=0, feature="middle", precision="as the model"
    )[0]
    sheet, spectrum, maps = call(
        "PullbackBasisVisualizer",
        **shared,
        basis=basis,
        vae=Painter(),
        mode=mode,
        direction=1,
        directions=2,
        strengths=3,
        strength=1.0,
        steps=2,
        cell=64,
    )
    assert sheet.std() > 0.05 and spectrum.std() > 0.05 and len(maps) == 2 and maps.std() > 0.05


@pytest.mark.parametrize("family", ["flux", "qwen"])
def test_bases_over_time_leave_latents_that_samplers_understand(call, models, family):
    model, conditioning = models[family], conditioning_for(family)
    bases, latents, ways = call(
        "PullbackBasisOverTime",
        model=model,
        conditioning=conditioning,
        latent=latent_for(model),
        timesteps="0.5, 0.8",
        steps=6,
        refine=1,
        rank=1,
        tolerance=0.1,
        seed=0,
        feature="middle",
        precision="as the model",
    )[:3]
    direct, sigmas, _ = inverted(call, model, conditioning, 3, timestep=0.5)
    assert [basis.timestep for basis in bases] == pytest.approx([0.5, 0.8])
    torch.testing.assert_close(latents[0]["samples"], direct["samples"], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(ways[0], sigmas)


@every_family
def test_nothing_of_the_picture_is_left_at_the_very_end(call, models, family):
    with pytest.raises(
        ValueError, match=r"At timestep 1 nothing of the picture is left .* choose at most 0\.99"
    ):
        call(
            "PullbackDDIMInvert",
            model=models[family],
            conditioning=conditioning_for(family),
            latent=latent_for(models[family]),
            steps=4,
            timestep=1.0,
            refine=0,
            measure=False,
        )
