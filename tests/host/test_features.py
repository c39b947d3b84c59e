"""Features are the outputs of the blocks that have their names, as hooks on ComfyUI's networks see them."""

import inspect
import sys

import pytest
import torch
from tiny_families import FLOWS
from tiny_models import (
    KINDS,
    conditioning_for,
    draw,
    latent_for,
    observed,
    relative,
    tiny_conditioning,
    tiny_latent,
    tiny_model,
)

SIGMA = 4.0
UNET_FEATURES = ("input_0", "input_1", "input_2", "input_3", "middle", "output_0", "output_1", "output_2")
REFERENCED = [family for family in FLOWS if FLOWS[family].reads_references]
every_family = pytest.mark.parametrize("family", FLOWS)


@pytest.fixture(scope="module")
def models():
    return {kind: tiny_model(kind) for kind in (*KINDS, *FLOWS)}


def encode(denoiser, x):
    return denoiser.encode(x, denoiser.schedule.sigma(0.7))


# UNets.


@pytest.mark.parametrize("kind", KINDS)
def test_the_features_of_a_unet_are_all_blocks_but_the_last_and_the_picture(comfy_host, models, kind):
    assert tuple(comfy_host.adapter.features_of(models[kind])) == (*UNET_FEATURES, "picture")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("feature", UNET_FEATURES)
def test_every_feature_of_a_unet_is_the_output_of_its_block(within, models, kind, feature):
    x, conditioning = SIGMA * draw(2, 4, 8, 8, seed=3), tiny_conditioning()
    ours = within(
        models[kind],
        conditioning,
        tiny_latent(),
        lambda denoiser, _: denoiser.encode(x, SIGMA),
        feature=feature,
    )
    theirs = observed(models[kind], feature, conditioning, x, SIGMA)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


# Transformers.


@every_family
def test_the_features_of_a_transformer_are_all_blocks_and_the_picture(comfy_host, models, family):
    assert tuple(comfy_host.adapter.features_of(models[family])) == (*FLOWS[family].features, "picture")


def copied(output):
    """A copy of a block's output, which later blocks overwrite."""
    if isinstance(output, torch.Tensor):
        return output.clone()
    return [None if part is None else part.clone() for part in output]


def image_tokens(family, output, pixels):
    """The image's tokens in a block's raw output, by what is known of the architecture: (b, tokens, c)."""
    row = FLOWS[family]
    if not isinstance(output, torch.Tensor):
        return output[1 if row.image_second else 0]
    output = output.flatten(1, -2)  # Anima's blocks have rows and columns apart
    if row.text_padded_to:
        return output[:, row.text_padded_to : row.text_padded_to + pixels]
    first = row.image_first or (family == "hunyuanimage" and flipped())
    return output[:, :pixels] if first else output[:, -pixels:]


def flipped():
    """Whether this host has Hunyuan's text behind its image."""
    return "flipped_img_txt=True" in inspect.getsource(sys.modules["comfy.ldm.hunyuan_video.model"])


@every_family
@pytest.mark.parametrize("depth", [0, 1, -1])
def test_a_feature_is_the_image_tokens_of_its_block_laid_out_as_the_picture(within, models, family, depth):
    model = models[family]
    name = FLOWS[family].features[depth]
    kind, index = name.split("_")
    seen = []
    block = getattr(model.model.diffusion_model, FLOWS[family].blocks[kind][0])[int(index)]

    def both(denoiser, x):
        sigma = denoiser.schedule.sigma(0.7)
        handle = block.register_forward_hook(lambda module, inputs, output: seen.append(copied(output)))
        with handle:
            denoiser.denoise(x, sigma)
        return denoiser.encode(x, sigma)

    h = within(model, conditioning_for(family), latent_for(model), both, feature=name)
    side = 8 // FLOWS[family].patch
    tokens = image_tokens(family, seen[0], side * side)
    torch.testing.assert_close(
        h, tokens.float().transpose(1, 2).unflatten(2, (side, side)), rtol=1e-4, atol=1e-4
    )


def strongest_change(within, model, conditioning, latent, feature, place, patch):
    """Where h changes most when one patch of the latent changes. Both places are (row, column)."""
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
    model, patch = models[family], FLOWS[family].patch
    for kind in FLOWS[family].blocks:
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
    model, kind = tiny_model(family, patch_size=16), next(iter(FLOWS[family].blocks))
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
    h = within(model, beside, latent, encode)
    assert h.shape[-2:] == (3, 5)


@pytest.mark.parametrize("family", REFERENCED)
@pytest.mark.parametrize("depth", [0, -1])
def test_the_tokens_of_a_reference_picture_are_left_out(within, models, family, depth):
    model, name = models[family], FLOWS[family].features[depth]
    if "ref_latents" not in inspect.getsource(sys.modules[type(model.model.diffusion_model).__module__]):
        pytest.skip("this host's network of the family reads no reference picture")
    patch = FLOWS[family].patch
    latent = latent_for(model, size=(3 * patch, 7 * patch))
    reference = latent_for(model, size=(4 * patch, 5 * patch), seed=6)["samples"]
    seen = conditioning_for(family, reference_latents=[reference], reference_latents_method="index")
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
    assert feature in FLOWS[family].features


@every_family
@pytest.mark.parametrize("size", [(6, 10), (5, 8)])
def test_pictures_of_any_size_have_features(within, models, family, size):
    """Also where the size is no multiple of the patch size."""
    model = models[family]
    frames = latent_for(model)["samples"].shape[2:-2]
    latent = {"samples": draw(1, latent_for(model)["samples"].shape[1], *frames, *size, seed=3)}
    h = within(model, conditioning_for(family), latent, encode)
    patch = FLOWS[family].patch
    assert h.shape[-2:] == (-(-size[0] // patch), -(-size[1] // patch))


# The predicted picture.


@pytest.mark.parametrize("family", [*KINDS, *FLOWS])
def test_the_picture_is_what_the_host_predicts(within, models, family):
    model = models[family]

    def both(denoiser, x):
        sigma = denoiser.schedule.sigma(0.7)
        return denoiser.encode(x, sigma), denoiser.denoise(x, sigma), x

    h, predicted, x = within(model, conditioning_for(family), latent_for(model), both, feature="picture")
    assert h.shape == x.shape and h.dtype == torch.float32
    torch.testing.assert_close(h, predicted, rtol=1e-4, atol=1e-4)


def test_the_picture_is_refused_in_no_model_and_other_names_are(comfy_host, models):
    for model in models.values():
        assert comfy_host.adapter.feature_named(model, "picture") == "picture"
        with pytest.raises(ValueError, match="choose middle, picture or one of"):
            comfy_host.adapter.feature_named(model, "pictures")
