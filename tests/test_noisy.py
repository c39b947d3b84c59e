"""A noisy latent knows its level and its way back, and whether it has noise at all."""

import pytest
import torch

from pullback_core import FlowSchedule, NoisyLatent, VPSchedule, faces
from pullback_core.noisy import lacks_noise

VP, FLOW = VPSchedule.scaled_linear(0.00085, 0.012), FlowSchedule()


@pytest.fixture(scope="module")
def clean():
    return faces.encode_image(faces.example_faces(range(24)))


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def lacking(x, sigma, schedule=VP):
    return lacks_noise(NoisyLatent(x, torch.tensor([sigma, 0.0])), schedule)


def test_its_level_is_the_first_of_its_noise_levels():
    noisy = NoisyLatent(draw(3, 4, 8, 8), torch.tensor([2.5, 1.0, 0.0]))
    assert noisy.sigma == 2.5 and len(noisy) == 3


def test_samples_of_a_batch_keep_the_way_back():
    noisy = NoisyLatent(draw(3, 4, 8, 8), torch.tensor([2.5, 1.0, 0.0]))
    for index, expected in ((0, noisy.x[:1]), (-1, noisy.x[2:]), (slice(1, 3), noisy.x[1:])):
        part = noisy[index]
        assert torch.equal(part.x, expected) and part.sigmas is noisy.sigmas


@pytest.mark.parametrize(
    "shape, sigmas, message",
    [
        ((4, 8, 8), [1.0, 0.0], r"shape \(b, c, h, w\), got \(4, 8, 8\)"),
        ((0, 4, 8, 8), [1.0, 0.0], r"\(0, 4, 8, 8\)"),
        ((1, 4, 8, 8), [1.0], "start above 0"),
        ((1, 4, 8, 8), [0.0, 0.0], "start above 0"),
        ((1, 4, 8, 8), [float("nan"), 0.0], "start above 0"),
        ((1, 4, 8, 8), [[1.0, 0.0]], "start above 0"),
    ],
)
def test_what_is_no_noisy_latent_is_refused(shape, sigmas, message):
    with pytest.raises(ValueError, match=message):
        NoisyLatent(torch.zeros(shape), torch.tensor(sigmas))


def test_clean_faces_lack_the_noise_of_every_level_that_is_used_for_edits(clean):
    for sigma in (2.9, 11.2, 84.0):  # 0.5, 0.7 and 0.9 T
        assert all(lacking(clean, sigma))
        assert not any(lacking(clean + sigma * draw(*clean.shape), sigma))
        assert not any(lacking(clean + 0.4 * sigma * draw(*clean.shape), sigma)), "inversion may leave less"


def test_noise_is_measured_against_the_share_of_the_picture_in_flow_coordinates(clean):
    for sigma in (0.8, 0.95, 0.99):
        x = (1 - sigma) * clean
        assert all(lacking(x, sigma, FLOW)) and not any(lacking(x + sigma * draw(*x.shape), sigma, FLOW))


def test_latents_that_say_nothing_do_not_lack_noise():
    for x in (
        torch.zeros(2, 4, 8, 8),
        torch.full((1, 4, 8, 8), float("nan")),
        draw(1, 4, 1, 8),
        draw(1, 4, 8, 8),
    ):
        assert lacking(x, 10.0) == [False] * len(x)
    assert lacking(torch.ones(1, 4, 8, 8), 10.0) == [True]
