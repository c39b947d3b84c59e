"""A direction of one face, applied to others."""

from dataclasses import replace

import pytest
import torch

from pullback_core import ddim, faces, local_basis
from pullback_core.directions.apply import STEPS_OF_A_PICTURE, apply_direction
from pullback_core.directions.rotation import rotated_basis

STEPS, RANK = 4, 4


@pytest.fixture(scope="module")
def denoiser():
    return faces.FacesDenoiser(faces.load_model(), feature="picture")


@pytest.fixture(scope="module")
def sigmas(denoiser):
    return denoiser.schedule.sigmas(STEPS, start=0.5)


@pytest.fixture(scope="module")
def pictures():
    return faces.encode_image(faces.example_faces([3, 5]))


@pytest.fixture(scope="module")
def source(denoiser, sigmas, pictures):
    noisy = ddim.invert(denoiser, pictures[:1], sigmas, refine=1)
    return rotated_basis(local_basis(denoiser, noisy, RANK, tolerance=0.1))


OPTIONS = {"rank": RANK, "tolerance": 0.1, "refine": 1}


def test_the_picture_itself_and_another_one_change(denoiser, sigmas, pictures, source):
    steps = []
    itself, other = apply_direction(
        denoiser, pictures, source, 0, sigmas, least=0.0, progress=steps.append, **OPTIONS
    )
    assert steps == list(range(1, 2 * STEPS_OF_A_PICTURE + 1))
    assert itself.alignment > 0.95 and itself.verdict == "carries over well"
    assert 0 <= other.alignment < itself.alignment
    for applied, x0 in zip((itself, other), pictures):
        change = (applied.picture - x0).square().mean().sqrt()
        assert 0.08 < change < 0.3  # strength 1 is 0.15, and these few steps lose some of the picture


def test_strengths_of_two_signs_go_opposite_ways(denoiser, sigmas, pictures, source):
    forth, back = (
        apply_direction(denoiser, pictures[:1], source, 0, sigmas, strength=strength, **OPTIONS)[0].picture
        for strength in (1.0, -1.0)
    )
    assert torch.cosine_similarity((forth - back).flatten(), source.u[0].flatten(), dim=0) > 0.7


def test_pictures_that_it_does_not_carry_over_to_are_left_alone(denoiser, sigmas, pictures, source):
    noise = torch.randn(pictures[0].shape, generator=torch.Generator().manual_seed(0))
    small = pictures[0][:, :8]
    few = {**OPTIONS, "refine": 0}
    broken, wrong, good = apply_direction(
        denoiser, [noise, small, pictures[0]], source, 0, sigmas, least=0.9, **few
    )
    assert broken.picture is None and broken.alignment < 0.9 and broken.verdict.startswith("left alone")
    assert wrong.picture is None and wrong.alignment is None
    assert "its latent has the shape (27, 8, 16)" in wrong.verdict
    assert good.picture is not None


def test_what_cannot_be_applied_at_all_is_refused(denoiser, sigmas, pictures, source):
    bottleneck = faces.FacesDenoiser(denoiser.model)
    for call, message in (
        (lambda: apply_direction(denoiser, pictures, source, 9, sigmas), "0 to 3, got 9"),
        (lambda: apply_direction(bottleneck, pictures, source, 0, sigmas), "another feature"),
        (lambda: apply_direction(denoiser, pictures, replace(source, sigma=9.0), 0, sigmas), "noise level"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_a_progress_that_raises_ends_the_work(denoiser, sigmas, pictures, source):
    class Stop(Exception):
        pass

    def stop(_):
        raise Stop

    with pytest.raises(Stop):
        apply_direction(denoiser, pictures, source, 0, sigmas, progress=stop, **OPTIONS)
