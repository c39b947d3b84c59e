"""Apply Direction: the core's edits of a batch, and what stays as it is."""

import dataclasses

import pytest
import torch
from node_calls import BASIS_OPTIONS, refused

FEW = {"steps": 4, "refine": 1, "rank": 4, "tolerance": 0.1, "seed": 0, "precision": "as the model"}
PICTURE = {**BASIS_OPTIONS, "feature": "picture", "rotate": "one thing each"}


@pytest.fixture(scope="module")
def source(studio):
    """A turned basis of the picture, at half of T, and its picture."""
    clean = studio.encode(studio.picture(3))
    latent, sigmas = studio.invert(clean, steps=FEW["steps"], timestep=0.5, refine=1)
    basis = studio.basis(latent, sigmas, **{**PICTURE, "rank": 4, "tolerance": 0.1})
    return clean, basis


def apply(call, studio, latent, basis, **options):
    options = {"direction": 1, "strength": 1.0, "least": 0.0, **FEW, **options}
    return call("PullbackApplyDirection", **studio.hosted, latent=latent, basis=basis, **options)


def test_every_picture_of_a_batch_changes_and_the_report_says_how_well(call, studio, source):
    clean, basis = source
    batch = {"samples": torch.cat([clean["samples"], studio.encode(studio.picture(5))["samples"]])}
    edited, report = apply(call, studio, batch, basis)
    assert edited["samples"].shape == batch["samples"].shape
    changes = (edited["samples"] - batch["samples"]).flatten(1).norm(dim=1)
    assert (changes > 0.5 * changes.max()).all() and changes.min() > 1
    first, own, other = report.splitlines()
    assert first == "applied to 2 of 2 pictures"
    assert own.startswith("1: alignment ") and own.endswith("carries over well")
    assert other.startswith("2: alignment 0.")


def test_pictures_that_it_does_not_carry_over_to_stay_as_they_are(call, studio, source):
    clean, basis = source
    noise = torch.randn(clean["samples"].shape, generator=torch.Generator().manual_seed(0))
    batch = {"samples": torch.cat([noise, clean["samples"]])}
    edited, report = apply(call, studio, batch, basis, least=0.9, refine=0)
    torch.testing.assert_close(edited["samples"][0], noise[0])
    assert (edited["samples"][1] - clean["samples"][0]).abs().max() > 0.1
    assert "1: alignment " in report and "left alone: the direction " in report


def test_outside_the_mask_the_pictures_stay(call, studio, source):
    clean, basis = source
    mask = torch.zeros(1, 48, 48)
    mask[:, :24] = 1
    edited, _ = apply(call, studio, {**clean, "noise_mask": mask}, basis)
    change = (edited["samples"] - clean["samples"]).abs().amax(dim=(0, 1))
    half = len(change) // 2
    assert change[half + 1 :].max() < 1e-4 < change[: half - 1].max()


def test_what_does_not_belong_together_is_said(call, studio, tiny, source):
    clean, basis = source
    _, report = apply(call, studio, {"samples": clean["samples"][..., :8]}, basis)
    assert "applied to 0 of 1 pictures" in report and "its latent has the shape" in report
    prompted = dataclasses.replace(basis, provenance={**basis.provenance, "prompt": "other"})
    assert "another conditioning" in apply(call, studio, clean, prompted)[1]
    stranger = dataclasses.replace(basis, provenance={**basis.provenance, "model": "other"})
    with refused("another model"):
        apply(call, studio, clean, stranger)
    with refused("directions 1 to 4"):
        apply(call, studio, clean, basis, direction=9)
