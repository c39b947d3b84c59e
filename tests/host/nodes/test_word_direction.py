"""Word Direction: the core's direction of a word, on the bundled model and on a flow."""

import pytest
import torch
from node_calls import BASIS_OPTIONS, TIMESTEP, refused, tiny_noisy
from tiny_families import FLOWS
from tiny_models import conditioning_for, tiny_conditioning, tiny_model

PICTURE = {**BASIS_OPTIONS, "feature": "picture"}


@pytest.fixture(scope="module")
def case(call, face):
    """The inputs of the node on the bundled model."""
    hosted = {**face.hosted, "sigmas": face.sigmas}
    (basis,) = call("PullbackBasis", **hosted, rank=2, **PICTURE)
    return {**hosted, "basis": basis}


def words(call, text):
    return call("PullbackFacesPrompt", text=text)[0]


@pytest.fixture(scope="module")
def hat(call, case):
    return call("PullbackWordDirection", **case, toward=words(call, "glasses, smiling, hat"), name=" hat ")


def test_the_direction_is_the_cores(call, comfy_host, case, alone, hat):
    basis, explained, report, mask = hat
    core = comfy_host.core
    model = alone.denoiser.model
    points = core.directions.words.listening_points(alone.x0, alone.denoiser.schedule, alone.noisy)
    other = core.faces.FacesDenoiser(model, "glasses, smiling, hat")
    shift = core.directions.words.word_shift(alone.denoiser, other, points)
    expected = core.directions.shifts.strongest_part(shift).flatten()
    assert torch.cosine_similarity(basis.v.flatten(), expected, dim=0) > 0.99
    assert basis.kind == "word" and basis.names == ["hat"] and basis.rank == 1
    assert basis.provenance["picture"] == case["basis"].provenance["picture"]
    assert basis.timestep == pytest.approx(TIMESTEP, abs=1e-3)
    torch.testing.assert_close(mask[0], core.directions.shifts.where_it_shows(shift), rtol=1e-2, atol=0.02)
    assert 0 < explained < 1 and report.startswith(f"the basis explains {explained:.0%} of the word")


def test_a_pair_of_texts_goes_from_one_to_the_other(call, case):
    smiling, frowning = words(call, "smiling, glasses"), words(call, "frowning, glasses")
    there, back = (
        call("PullbackWordDirection", **case, toward=toward, away=away)[0]
        for toward, away in ((smiling, frowning), (frowning, smiling))
    )
    torch.testing.assert_close(there.v, -back.v, rtol=1e-3, atol=1e-5)
    assert there.names == []


def test_words_are_kept_out(call, case, hat):
    kept, *_ = call(
        "PullbackWordDirection",
        **case,
        toward=words(call, "glasses, smiling, hat"),
        keep_2=words(call, "glasses, smiling, beard"),
    )
    assert not torch.allclose(kept.v, hat[0].v, atol=1e-5)
    assert torch.cosine_similarity(kept.v.flatten(), hat[0].v.flatten(), dim=0) > 0.5


def test_a_text_that_changes_nothing_is_refused(call, case):
    with refused("The word changes nothing"):
        call("PullbackWordDirection", **case, toward=case["conditioning"])


def test_a_basis_of_the_bottleneck_is_refused(call, face, case):
    with refused("does not know what its directions do to the picture"):
        call("PullbackWordDirection", **{**case, "basis": face.basis}, toward=words(call, "hat"))


@pytest.mark.parametrize("family", ["flux", "qwen"])
def test_flows_have_words(call, family):
    if family not in FLOWS:
        pytest.skip("this host does not have the family")
    model = tiny_model(family)
    conditioning, toward, keep = (conditioning_for(family, seed) for seed in (1, 2, 3))
    hosted = tiny_noisy(call, model, conditioning)
    (basis,) = call("PullbackBasis", **hosted, rank=1, **PICTURE)
    direction, explained, _, mask = call(
        "PullbackWordDirection", **hosted, basis=basis, toward=toward, keep_1=keep, name="a word"
    )
    assert direction.names == ["a word"] and direction.v.shape[1:] == basis.v.shape[1:]
    assert 0 <= explained <= 1 and mask.shape == (1, *basis.v.shape[-2:])


def test_a_latent_of_unknown_picture_is_heard_at_its_own_noise(call, tiny):
    unknown = {**tiny.hosted, "latent": {"samples": tiny.latent["samples"]}, "sigmas": tiny.sigmas}
    (basis,) = call("PullbackBasis", **unknown, rank=1, **PICTURE)
    direction, *_ = call("PullbackWordDirection", **unknown, basis=basis, toward=tiny_conditioning(5))
    assert direction.rank == 1 and direction.v.isfinite().all()
