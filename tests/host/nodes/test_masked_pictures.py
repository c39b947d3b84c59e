"""Masks on the way from the picture to the sampler: what a mask keeps comes back as it was."""

import dataclasses

import pytest
import torch
from node_calls import BASIS_OPTIONS, Studio, edited_error, kept_error, left_half, masked, refused
from tiny_models import conditioning_for, latent_for, tiny_model


@pytest.mark.parametrize("sampler", ["sample", "sample_advanced"])
def test_what_a_mask_keeps_is_the_picture(call, studio, first_face, sampler):
    latent, sigmas = studio.invert(masked(call, first_face.clean), steps=40, refine=4)
    assert kept_error(getattr(studio, sampler)(latent, sigmas), first_face.clean) < 0.02


def test_what_a_mask_keeps_is_the_picture_behind_ksampler(call, comfy_host, studio, first_face):
    schedule = comfy_host.adapter.schedule_of(studio.model)
    latent, _ = studio.invert(
        masked(call, first_face.clean),
        timestep=schedule.fraction(studio.level_of_step(6)),
        steps=14,
        refine=4,
    )
    assert kept_error(studio.ksampler(latent, start_at_step=6), first_face.clean) < 0.06, (
        "its levels are not those of the inversion"
    )


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "sdxl", "flux", "sd3", "qwen", "lumina2"])
def test_a_mask_keeps_the_picture_in_every_kind_of_model(call, kind):
    model = tiny_model(kind)
    studio, clean = Studio(call, model, conditioning_for(kind)), latent_for(model)
    latent, sigmas = studio.invert(masked(call, clean), timestep=0.5, refine=12)
    assert kept_error(studio.sample(latent, sigmas), clean) < 0.02


@pytest.mark.parametrize("sampler", ["sample", "sample_advanced"])
def test_what_a_mask_keeps_is_the_picture_behind_an_edit(call, studio, first_face, sampler):
    latent, sigmas = studio.invert(masked(call, first_face.clean), steps=40, refine=4)
    edits = studio.edit(latent, first_face.basis, strengths=3, strength=1.0)
    result = getattr(studio, sampler)(edits, sigmas)
    clean = {"samples": first_face.clean["samples"].expand(3, -1, -1, -1)}
    assert kept_error(result, clean) < 0.02
    assert edited_error(result, clean) > 0.05, "the other half is edited"


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "flux", "qwen"])
def test_a_mask_keeps_the_picture_behind_an_edit_in_every_kind_of_model(call, kind):
    model = tiny_model(kind)
    studio, clean = Studio(call, model, conditioning_for(kind)), latent_for(model)
    latent, sigmas = studio.invert(masked(call, clean), timestep=0.5, refine=12)
    edits = studio.edit(latent, studio.basis(latent, sigmas, rank=1, tolerance=0.4), strength=1.0, steps=4)
    assert kept_error(studio.sample(edits, sigmas), clean) < 0.02


def test_a_noisy_latent_has_no_noise_mask(call, studio, first_face):
    inverted, _ = studio.invert(masked(call, first_face.clean))
    behind = studio.edit(masked(call, first_face.latent), first_face.basis, steps=1)
    over_time = call(
        "PullbackBasisOverTime",
        **studio.hosted,
        latent=masked(call, first_face.clean),
        timesteps="0.5",
        steps=4,
        refine=0,
        rank=2,
        **BASIS_OPTIONS,
    )[1][0]
    assert not [latent for latent in (inverted, behind, over_time) if "noise_mask" in latent]


@pytest.mark.parametrize("pixels", [1, 3, 8])
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_the_mask_of_the_picture_confines_the_edit(call, studio, first_face, pixels, strength):
    """strength: of the mask, which may be soft."""
    mask = strength * left_half(first_face.clean, pixels)
    latent, _ = studio.invert(masked(call, first_face.clean, mask))
    assert torch.equal(latent["samples"], first_face.latent["samples"])
    edited = studio.edit(latent, first_face.basis)
    result, plain = (
        studio.sample(edited, first_face.sigmas),
        studio.sample(studio.edit(first_face.latent, first_face.basis), first_face.sigmas),
    )
    assert kept_error(result, first_face.clean) < 0.05
    assert strength < 1 or edited_error(result, first_face.clean) > 0.055
    assert kept_error(plain, first_face.clean) > 0.06, "there is something to keep"
    behind = studio.edit(masked(call, first_face.latent, mask), first_face.basis)
    assert torch.equal(behind["samples"], edited["samples"]), "or set behind DDIM Invert"


def test_a_mask_input_counts_more_and_for_its_node_alone(call, studio, first_face):
    latent, _ = studio.invert(masked(call, first_face.clean))
    everywhere = torch.ones(1, 16, 16)
    edited = studio.edit(latent, first_face.basis, mask=everywhere)
    assert torch.equal(edited["samples"], studio.edit(first_face.latent, first_face.basis)["samples"])
    again = studio.sample(studio.edit(edited, first_face.basis), first_face.sigmas)
    assert kept_error(again, first_face.clean) < 0.05, "the latent's own mask counts again"


def test_the_newer_of_two_masks_counts(call, studio, first_face):
    latent, _ = studio.invert(masked(call, first_face.clean))
    right = 1 - left_half(first_face.clean)
    result = studio.sample(studio.edit(masked(call, latent, right), first_face.basis), first_face.sigmas)
    assert edited_error(result, first_face.clean) < 0.05 < 0.055 < kept_error(result, first_face.clean)


def test_every_picture_of_a_batch_keeps_its_own_mask(call, studio, first_face):
    clean = studio.encode(studio.picture(6, 6))
    masks = torch.cat([left_half(clean), 1 - left_half(clean)])
    latent, _ = studio.invert(masked(call, clean, masks))
    both = studio.sample(studio.edit(latent, first_face.basis), first_face.sigmas)["samples"]
    for index, error in enumerate([kept_error, edited_error]):
        assert error({"samples": both[index : index + 1]}, first_face.clean) < 0.05
    (second,) = call("LatentFromBatch", samples=latent, batch_index=1, length=1)
    with refused("had different masks"):  # the two pictures are equal but for these
        studio.edit(second, first_face.basis)
    clean = studio.encode(studio.picture(6, 8))
    latent, _ = studio.invert(masked(call, clean, masks))
    (second,) = call("LatentFromBatch", samples=latent, batch_index=1, length=1)
    result = studio.sample(
        studio.edit(second, dataclasses.replace(first_face.basis, provenance={})), first_face.sigmas
    )
    assert edited_error(result, {"samples": clean["samples"][1:]}) < 0.05


def test_one_mask_serves_a_batch_and_films_of_one_frame(call):
    model = tiny_model("qwen")
    studio, clean = Studio(call, model, conditioning_for("qwen")), latent_for(model)
    clean = {"samples": torch.cat([clean["samples"], latent_for(model, seed=5)["samples"]])}
    latent, sigmas = studio.invert(masked(call, clean), steps=3, refine=1)
    (first,) = call("LatentFromBatch", samples=latent, batch_index=0, length=1)
    basis = studio.basis(first, sigmas, rank=1, tolerance=0.4)
    edited = studio.edit(latent, dataclasses.replace(basis, provenance={}))
    change = edited["samples"] - latent["samples"]
    assert change.ndim == 5 and len(change) == 2
    assert change[..., :4].abs().amax(dim=(1, 2, 3, 4)).min() > 1e-3
    assert kept_error(studio.sample(edited, sigmas), clean) < 0.05


def test_masks_that_cannot_be_told_apart_any_more_are_refused(call, studio, first_face):
    clean = studio.encode(studio.picture(6, 8))
    latent, _ = studio.invert(masked(call, clean, torch.cat([left_half(clean), 1 - left_half(clean)])))
    (changed,) = call("LatentMultiply", samples=latent, multiplier=0.99)
    with refused("had different masks, .* connect a mask"):
        studio.edit(changed, dataclasses.replace(first_face.basis, provenance={}))
    one, _ = studio.invert(masked(call, first_face.clean))
    (changed,) = call("LatentMultiply", samples=one, multiplier=0.99)
    change = studio.edit(changed, first_face.basis)["samples"] - changed["samples"]
    assert change[..., 8:].abs().max() < 1e-3 < 0.1 < change[..., :8].abs().max()


@pytest.mark.parametrize("sampler", ["sample", "sample_advanced"])
def test_the_boost_sampler_keeps_what_the_mask_keeps(call, studio, first_face, sampler):
    latent, sigmas = studio.invert(masked(call, first_face.clean))
    edits = studio.edit(latent, first_face.basis, strengths=3, strength=2.0)
    plain = studio.sample(edits, sigmas, studio.boost())
    clean = {"samples": first_face.clean["samples"].expand(3, -1, -1, -1)}
    assert kept_error(plain, clean) > 0.05, "there is something to keep"
    for connected in (edits, latent):
        boosted = studio.sample(edits, sigmas, studio.boost(connected))
        assert kept_error(boosted, clean) < 1e-4 and edited_error(boosted, clean) > 0.05


def test_the_boost_sampler_keeps_parts_of_films_and_of_batches(call):
    model = tiny_model("qwen")
    studio = Studio(call, model, conditioning_for("qwen"))
    clean = {"samples": torch.cat([latent_for(model, seed=seed)["samples"] for seed in (2, 5)])}
    latent, sigmas = studio.invert(masked(call, clean), steps=3, refine=1)
    (first,) = call("LatentFromBatch", samples=latent, batch_index=0, length=1)
    basis = dataclasses.replace(studio.basis(first, sigmas, rank=1, tolerance=0.4), provenance={})
    edits = studio.edit(latent, basis, strengths=2)
    result = studio.sample(edits, sigmas, studio.boost(latent))
    assert kept_error(result, {"samples": clean["samples"].repeat_interleave(2, dim=0)}) < 1e-4
    with refused("keeps parts of 2 pictures and got 1; connect the same LATENT"):
        studio.sample(first, sigmas, studio.boost(latent))


def test_the_boost_sampler_does_not_keep_noise(call, studio, first_face):
    behind = masked(call, first_face.latent)
    with refused("would keep the noise; set the mask before DDIM Invert"):
        studio.sample(behind, first_face.sigmas, studio.boost())
    kept = studio.sample(behind, first_face.sigmas, studio.boost(behind))
    assert kept_error(kept, first_face.clean) < 1e-4
    with refused("unknown what the picture below it was; connect the LATENT of DDIM Invert"):
        studio.boost(masked(call, {"samples": first_face.latent["samples"]}))


@pytest.mark.parametrize("mode", ["fast", "full"])
def test_the_sheet_keeps_what_the_mask_keeps(call, studio, first_face, comfy_host, monkeypatch, mode):
    caught, figures = [], comfy_host.core.figures
    plain = figures.placed_contact_sheet
    monkeypatch.setattr(
        figures,
        "placed_contact_sheet",
        lambda rows, *others, **options: caught.append(rows) or plain(rows, *others, **options),
    )
    latent, sigmas = studio.invert(masked(call, first_face.clean))
    studio.sheet(latent, sigmas, first_face.basis, mode=mode, strength=2.0)
    (expected,) = studio.picture(6).movedim(3, 1) * 2 - 1
    for picture in (caught[0][0][1][0], caught[0][0][1][2]):
        assert (picture - expected)[..., 24:].abs().max() < 1e-3
        assert (picture - expected)[..., :24].abs().mean() > 0.01
