"""Flow transformers: where their features are read, and inversion and guidance in flow coordinates, against the host itself."""

import inspect
import sys

import comfy.samplers
import pytest
import torch
from tiny_models import (
    FLOWS,
    REFERENCE_KINDS,
    conditioning_for,
    draw,
    latent_for,
    patch_of,
    relative,
    tiny_model,
)

FAMILIES = tuple(FLOWS)
REFERENCED = [family for family in FAMILIES if family in REFERENCE_KINDS]
TEXT = 7
DOUBLE_AND_SINGLE = {"double": ("double_blocks", 3), "single": ("single_blocks", 4)}
ROWS = {  # kinds of blocks, each with the host's name for them and how many there are
    "sd3": {"double": ("joint_blocks", 6)},
    "sd35medium": {"double": ("joint_blocks", 6)},
    "qwen": {"double": ("transformer_blocks", 6)},
    "lumina2": {"layer": ("layers", 6)},
    "zimage": {"layer": ("layers", 4)},
    "zimagepixel": {"layer": ("layers", 4)},
    "hidream": {"double": ("double_stream_blocks", 3), "single": ("single_stream_blocks", 4)},
    "ernie": {"layer": ("layers", 6)},
    "anima": {"block": ("blocks", 6)},
    "aura": {"double": ("double_layers", 3), "single": ("single_layers", 4)},
    "omnigen2": {"layer": ("layers", 6)},
    "boogu": {"double": ("double_stream_layers", 3), "single": ("single_stream_layers", 4)},
    "kandinsky": {"block": ("visual_transformer_blocks", 6)},
    "krea2": {"block": ("blocks", 6)},
    "ideogram": {"layer": ("layers", 6)},
    "lens": {"double": ("transformer_blocks", 6)},
    "mageflow": {"double": ("transformer_blocks", 6)},
    "joyimage": {"double": ("double_blocks", 6)},
    "pixeldit": {"double": ("patch_blocks", 6)},
}
SECOND = (
    "sd3",
    "sd35medium",
    "qwen",
    "aura",
    "lens",
    "mageflow",
)  # their blocks of two streams give the text's before the image's
IMAGE_FIRST = ("hidream", "ernie")  # in a joint stream
every_family = pytest.mark.parametrize("family", FAMILIES)


@pytest.fixture(scope="module")
def models():
    return {family: tiny_model(family) for family in FAMILIES}


def rows_of(family):
    return ROWS.get(family, DOUBLE_AND_SINGLE)


def names_of(family):
    return tuple(f"{kind}_{index}" for kind, (_, count) in rows_of(family).items() for index in range(count))


# Features.


@every_family
def test_the_features_are_all_blocks(comfy_host, models, family):
    assert tuple(comfy_host.adapter.features_of(models[family])) == names_of(family)


def copied(output):
    """What later blocks overwrite."""
    return (
        output.clone()
        if isinstance(output, torch.Tensor)
        else [None if part is None else part.clone() for part in output]
    )


def image_tokens(family, output, pixels):
    """The image's tokens in a block's raw output, by what is known of the architecture: (b, tokens, c)."""
    if not isinstance(output, torch.Tensor):
        return output[1 if family in SECOND else 0]
    output = output.flatten(1, -2)  # Anima's blocks have rows and columns apart
    if family in ("zimage", "zimagepixel"):  # text and image are each filled up to 32 tokens
        return output[:, 32 : 32 + pixels]
    first = family in IMAGE_FIRST or (family == "hunyuanimage" and flipped())
    return output[:, :pixels] if first else output[:, -pixels:]


def flipped():
    """Whether this host has Hunyuan's text behind its image."""
    return "flipped_img_txt=True" in inspect.getsource(sys.modules["comfy.ldm.hunyuan_video.model"])


@every_family
@pytest.mark.parametrize("depth", [0, 1, -1])
def test_a_feature_is_the_image_tokens_of_its_block_laid_out_as_the_picture(within, models, family, depth):
    model = models[family]
    name = names_of(family)[depth]
    kind, index = name.split("_")
    seen = []
    block = getattr(model.model.diffusion_model, rows_of(family)[kind][0])[int(index)]

    def both(denoiser, x):
        sigma = denoiser.schedule.sigma(0.7)
        handle = block.register_forward_hook(lambda module, inputs, output: seen.append(copied(output)))
        try:
            denoiser.denoise(x, sigma)
        finally:
            handle.remove()
        return denoiser.encode(x, sigma)

    h = within(model, conditioning_for(family), latent_for(model), both, feature=name)
    side = 8 // patch_of(family)
    tokens = image_tokens(family, seen[0], side * side)
    torch.testing.assert_close(
        h, tokens.float().transpose(1, 2).unflatten(2, (side, side)), rtol=1e-4, atol=1e-4
    )


def strongest_change(within, model, conditioning, latent, feature, place, patch):
    """Where h changes most, (row, column), when a patch of the latent does. place: that patch's row and column."""
    row, column = place

    def work(denoiser, x):
        sigma = denoiser.schedule.sigma(0.7)
        changed = x.clone()
        changed[..., row * patch : (row + 1) * patch, column * patch : (column + 1) * patch] += 0.5
        return (denoiser.encode(changed, sigma) - denoiser.encode(x, sigma)).norm(dim=1)[0]

    change = within(model, conditioning, latent, work, feature=feature)
    return divmod(change.argmax().item(), change.shape[1])


@every_family
def test_rows_and_columns_of_h_are_those_of_the_picture(within, models, family):
    """A patch of an oblong latent changes h most at its own place: whatever is known of the architecture."""
    model, patch = models[family], patch_of(family)
    for kind in rows_of(family):
        for place in ((0, 0), (1, 4), (2, 6)):
            latent = latent_for(model, size=(3 * patch, 7 * patch))
            assert (
                strongest_change(within, model, conditioning_for(family), latent, f"{kind}_0", place, patch)
                == place
            ), kind


@pytest.mark.skipif("radiance" not in FLOWS, reason="this host has no pixel-space family")
@pytest.mark.parametrize(
    "family", [family for family in ("radiance", "pixeldit", "zimagepixel") if family in FLOWS]
)
def test_models_of_pixels_have_large_patches(within, family):
    model, kind = tiny_model(family, patch_size=16), next(iter(rows_of(family)))
    latent = latent_for(model, size=(32, 80))
    assert strongest_change(within, model, conditioning_for(family), latent, f"{kind}_1", (1, 3), 16) == (
        1,
        3,
    )


@pytest.mark.skipif("hunyuanimage" not in FLOWS, reason="this host has no Hunyuan Image")
@pytest.mark.parametrize("kind", ["double", "single"])
def test_letters_that_hunyuan_image_reads_apart_are_not_taken_for_the_picture(within, kind):
    model = tiny_model("hunyuanimage", byt5=True)
    letters = conditioning_for("hunyuanimage", conditioning_byt5small=draw(1, 5, 1472, seed=8))
    place = strongest_change(within, model, letters, latent_for(model, size=(3, 7)), f"{kind}_1", (2, 4), 1)
    assert place == (2, 4)


@pytest.mark.skipif("hunyuanimage" not in FLOWS, reason="this host has no Hunyuan Image")
def test_a_model_that_must_know_where_its_sampler_goes_next_is_refused(comfy_host):
    with pytest.raises(
        ValueError, match=r"This Hunyuan Image 2\.1 model is distilled .* take the undistilled one\."
    ):
        comfy_host.adapter.features_of(tiny_model("hunyuanimage", meanflow=True))


@pytest.mark.skipif("hidream" not in FLOWS, reason="this host has no HiDream")
@pytest.mark.parametrize("kind", ["double", "single"])
def test_the_picture_to_edit_beside_hidreams_is_left_out(within, models, kind):
    model = models["hidream"]
    latent = latent_for(model, size=(6, 10))
    beside = conditioning_for(
        "hidream", concat_latent_image=latent_for(model, size=(6, 10), seed=6)["samples"]
    )
    assert strongest_change(within, model, beside, latent, f"{kind}_0", (2, 3), 2) == (2, 3)
    h = within(model, beside, latent, lambda denoiser, x: denoiser.encode(x, denoiser.schedule.sigma(0.7)))
    assert h.shape[-2:] == (3, 5)


@pytest.mark.parametrize("family", REFERENCED)
@pytest.mark.parametrize("depth", [0, -1])
def test_the_tokens_of_a_reference_picture_are_left_out(within, models, family, depth):
    model, name = models[family], names_of(family)[depth]
    if "ref_latents" not in inspect.getsource(sys.modules[type(model.model.diffusion_model).__module__]):
        pytest.skip("this host's network of the family reads no reference picture")
    patch = patch_of(family)
    latent = latent_for(model, size=(3 * patch, 7 * patch))
    reference = latent_for(model, size=(4 * patch, 5 * patch), seed=6)["samples"]
    seen = conditioning_for(family, reference_latents=[reference], reference_latents_method="index")
    encode = lambda denoiser, x: denoiser.encode(x, denoiser.schedule.sigma(0.7))
    plain = within(model, conditioning_for(family), latent, encode, feature=name)
    h = within(model, seen, latent, encode, feature=name)
    assert h.shape == plain.shape and (depth == 0 or relative(h, plain) > 1e-3)
    assert strongest_change(within, model, seen, latent, name, (2, 4), patch) == (2, 4)


@every_family
def test_the_default_feature_has_the_name_of_its_block(within, models, family):
    model = models[family]
    feature = within(
        model, conditioning_for(family), latent_for(model), lambda denoiser, _: denoiser.provenance["feature"]
    )
    assert feature in names_of(family)


@every_family
@pytest.mark.parametrize("size", [(6, 10), (5, 8)])
def test_pictures_of_any_size_have_features(within, models, family, size):
    """Also where the size is no multiple of the patch size."""
    model = models[family]
    frames = latent_for(model)["samples"].shape[2:-2]
    latent = {"samples": draw(1, latent_for(model)["samples"].shape[1], *frames, *size, seed=3)}
    h = within(
        model,
        conditioning_for(family),
        latent,
        lambda denoiser, x: denoiser.encode(x, denoiser.schedule.sigma(0.7)),
    )
    patch = patch_of(family)
    assert h.shape[-2:] == (-(-size[0] // patch), -(-size[1] // patch))


# Coordinates.


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
def test_the_schedule_is_the_hosts(comfy_host, models, family):
    sampling, schedule = (
        models[family].get_model_object("model_sampling"),
        comfy_host.adapter.schedule_of(models[family]),
    )
    for fraction in (0.05, 0.3, 0.7, 0.95):
        assert schedule.sigma(fraction) == pytest.approx(sampling.percent_to_sigma(1 - fraction), rel=1e-5)
    assert schedule.sigma_max == 1


@every_family
def test_a_clean_latent_comes_as_the_model_sees_it_and_goes_as_it_came(comfy_host, within, models, family):
    model, latent = models[family], latent_for(models[family])
    x = within(model, conditioning_for(family), latent, lambda _, x: x)
    assert x.ndim == 4 and x.std() == pytest.approx(1, abs=0.1)
    torch.testing.assert_close(
        comfy_host.adapter.clean_latent(model, x)["samples"], latent["samples"], rtol=1e-4, atol=1e-4
    )


@every_family
def test_stock_euler_takes_the_way_back_that_the_core_takes(comfy_host, call, within, models, family):
    """The inversion's LATENT and SIGMAS go straight into SamplerCustom, and mean the same noisy x to it and to the pack."""
    model, conditioning = models[family], conditioning_for(family)
    latent, sigmas, _ = inverted(call, model, conditioning, 6)
    sampled = call(
        "SamplerCustom",
        model=model,
        add_noise=False,
        noise_seed=0,
        cfg=1.0,
        positive=conditioning,
        negative=conditioning,
        sampler=comfy.samplers.sampler_object("euler"),
        sigmas=sigmas,
        latent_image=latent,
    )[0]["samples"]
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
    call(
        "SamplerCustom",
        model=model,
        add_noise=False,
        noise_seed=0,
        cfg=1.0,
        positive=conditioning,
        negative=conditioning,
        sampler=comfy.samplers.sampler_object("euler"),
        sigmas=sigmas[2:],
        latent_image=halfway,
    )
    x = within(model, conditioning, halfway, lambda denoiser, noisy: noisy.x, sigmas=sigmas[2:])
    expected = seen[2]  # the first evaluation of the second half
    torch.testing.assert_close(x, expected.reshape(x.shape), rtol=1e-4, atol=1e-4)


@every_family
def test_the_whole_way_of_an_edit(comfy_host, call, within, models, family):
    """DDIM Invert -> Pullback Basis -> X-Space Guidance Edit -> sampler, against the core's own steps in flow coordinates."""
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


@pytest.mark.parametrize("family", ["flux", "sd3"])
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_quality_boosting_is_the_cores(comfy_host, call, within, models, family, eta):
    model, conditioning, latent = models[family], conditioning_for(family), latent_for(models[family])
    (sampler,) = call("PullbackQualityBoost", boost_below=0.3, eta=eta)
    sigmas = comfy_host.adapter.ddim_sigmas(model, 5, 0.8)
    sampled = call(
        "SamplerCustom",
        model=model,
        add_noise=False,
        noise_seed=7,
        cfg=1.0,
        positive=conditioning,
        negative=conditioning,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=latent,
    )[0]["samples"]
    ours = within(
        model,
        conditioning,
        latent,
        sigmas=sigmas,
        fn=lambda denoiser, noisy: comfy_host.core.ddim.generate(
            denoiser, noisy, eta=eta, boost_below=0.3, seed=7
        ),
    )
    assert (
        relative(comfy_host.adapter.clean_latent(model, ours)["samples"], sampled) < 1e-4
        and torch.isfinite(sampled).all()
    )


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


def test_a_film_of_several_frames_is_refused(within, models):
    latent = {"samples": draw(1, 16, 3, 8, 8, seed=0)}
    with pytest.raises(ValueError, match=r"this model needs \(batch, 16, height, width\)"):
        within(models["qwen"], conditioning_for("qwen"), latent, lambda denoiser, x: x)


@every_family
def test_a_foreign_transformer_is_refused(within, models, family):
    class Another(type(models[family].model.diffusion_model)):
        """A subclass may order its tokens in another way."""

    model = models[family].clone()
    other = Another.__new__(Another)
    other.__dict__ = models[family].model.diffusion_model.__dict__
    model.add_object_patch("diffusion_model", other)
    with pytest.raises(ValueError, match=r"or a transformer of the families .* got Another"):
        within(model, conditioning_for(family), latent_for(model), lambda denoiser, x: x)
