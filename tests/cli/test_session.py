"""The computations that the commands share."""

import math
import time
from functools import partial

import pytest
import torch

from pullback_core import faces
from pullback_core.cli import session
from pullback_core.cli.session import Session


@pytest.fixture(scope="module")
def image():
    return faces.example_faces([3])[0]


@pytest.fixture
def short():
    return Session(faces.WEIGHTS, "", timestep=0.5, steps=4)


def test_psnr():
    black, white = torch.full((3, 4, 4), -1.0), torch.ones(3, 4, 4)
    assert session.psnr(black, black) == math.inf
    assert session.psnr(black, white) == pytest.approx(0.0)
    assert session.psnr(torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.2)) == pytest.approx(20.0)


def test_a_session_goes_from_its_noise_level_to_zero(short):
    assert short.steps == 2 and len(short.sigmas) == 3 and short.sigmas[-1] == 0
    assert short.sigmas[0].item() == pytest.approx(short.sigma)


def test_a_session_has_a_feature(short):
    assert short.denoiser.provenance["feature"] == "middle"
    other = Session(faces.WEIGHTS, "", timestep=0.5, steps=4, feature="picture")
    assert other.denoiser.provenance["feature"] == "picture"
    with pytest.raises(ValueError, match="no block named 'nose'; choose picture or one of"):
        Session(faces.WEIGHTS, "", timestep=0.5, steps=4, feature="nose")


def test_an_inversion_with_corrections_reconstructs_better(short, image):
    noisy, plain = short.invert(image, refine=0)
    _, refined = short.invert(image, refine=4)
    assert refined.psnr > plain.psnr and refined.image.shape == image.shape
    assert len(noisy) == 1 and noisy.sigma == pytest.approx(short.sigma)


def test_an_edit_of_strength_zero_is_the_reconstruction(short, image):
    noisy, round_trip = short.invert(image, refine=1)
    directions = torch.randn(2, *noisy.x.shape[1:], generator=torch.Generator().manual_seed(0))
    rows = short.edit(noisy, directions, [0.0, 1.0, -1.0], guidance_steps=1, boost=0.0, seed=0)
    assert [len(row) for row in rows] == [3, 3]
    for row in rows:
        torch.testing.assert_close(row[0], round_trip.image.clamp(-1, 1), atol=1e-4, rtol=0)
        assert not torch.equal(row[1], row[2])


def test_a_strength_in_units_of_what_is_seen_changes_the_picture_by_that_much(short, image):
    noisy, _ = short.invert(image, refine=1)
    directions = torch.randn(2, *noisy.x.shape[1:], generator=torch.Generator().manual_seed(0))
    rows = short.edit(noisy, directions, [0.0, 0.5, 1.0], unit="picture", boost=0.0, seed=0)
    for still, half, full in rows:
        sizes = [(edited - still).square().mean().sqrt().item() for edited in (half, full)]
        assert sizes[1] / sizes[0] == pytest.approx(2, rel=0.3)
    assert "x-space guidance" not in short.seconds


def test_several_latents_get_one_averaged_basis(short, image):
    noisy, _ = short.invert(image, refine=0)
    both = noisy.with_x(torch.cat([noisy.x, noisy.x.flip(0) + 0.1]))
    assert short.basis(both, 1, tolerance=1.0, seed=0).kind == "averaged"
    assert short.basis(noisy, 1, tolerance=1.0, seed=0, keep_space=True).search_space is not None


def test_an_edit_that_is_not_finite_is_refused(short, image):
    noisy, _ = short.invert(image, refine=0)
    direction = torch.ones(1, *noisy.x.shape[1:])
    with pytest.raises(ValueError, match="not finite; choose a smaller --strength"):
        short.edit(noisy, direction, [1e38], guidance_steps=3, boost=0.0, seed=0)


def test_a_search_that_did_not_converge_is_said(short, image, monkeypatch, capsys):
    noisy, _ = short.invert(image, refine=0)
    search = session.local_basis
    monkeypatch.setattr(session, "local_basis", partial(search, max_products=8))
    assert not short.basis(noisy, 2, tolerance=1e-9, seed=0).converged
    assert "not fully converged: residual" in capsys.readouterr().out


def test_a_rank_is_at_most_the_size_of_the_feature(short, image):
    short.require_rank(1536, image)
    with pytest.raises(ValueError, match=r"--rank must be from 1 to 1536, .* got '1537'"):
        short.require_rank(1537, image)


def test_the_time_of_a_phase_adds_up(short):
    for _ in range(2):
        with short.phase("rest") as bar:
            bar.advance("any", "arguments")
            time.sleep(0.01)
    assert short.seconds["rest"] >= 0.02 and list(short.seconds) == ["rest"]
