"""Edits of the pictures of a LATENT: their order, their batches, and the progress that they report."""

import pytest
import torch
from tiny_families import draw
from tiny_models import tiny_model


@pytest.fixture(scope="module")
def linear(comfy_host):
    """A denoiser whose x_0 is x / 2, which computes one picture after another."""

    class Linear(comfy_host.core.Denoiser):
        schedule, provenance = comfy_host.core.FlowSchedule(1.0), {"feature": "none"}

        def denoise(self, x, sigma):
            return x / 2

        def encode(self, x, sigma):
            return x

        def evaluation_batch_size(self, latent_shape):
            return 1

    return Linear()


@pytest.fixture(scope="module")
def noisy(comfy_host):
    """Two noisy latents at the middle of a flow."""
    return comfy_host.core.NoisyLatent(draw(2, 4, 8, 8, seed=1), torch.tensor([0.5, 0.2, 0.0]))


@pytest.fixture(scope="module")
def latent(comfy_host, noisy):
    return comfy_host.adapter.noisy_latent(tiny_model(), noisy)


@pytest.fixture(scope="module")
def directions():
    return torch.linalg.qr(draw(256, 2, seed=2))[0].T.reshape(2, 4, 8, 8)


def test_strengths_are_even_about_zero(comfy_host):
    assert comfy_host.adapter.even_strengths(0.8, 1) == [0.8]
    assert comfy_host.adapter.even_strengths(-2.0, 5) == [2.0, 1.0, 0.0, -1.0, -2.0]


def test_every_picture_is_edited_along_every_direction(comfy_host, linear, noisy, latent, directions):
    ticks, core = [], comfy_host.core
    edits = comfy_host.adapter.edit_pictures(
        linear,
        noisy,
        directions,
        [-1.0, 1.0],
        latent,
        progress=lambda done, total: ticks.append((done, total)),
        steps=3,
    )
    assert ticks == [(done, 24) for done in range(1, 25)], "2 pictures, 2 directions, 2 strengths, 3 steps"
    for number, edited in enumerate(edits):
        expected = core.edit_grid(linear, noisy[number], directions, [-1.0, 1.0], steps=3)
        assert torch.equal(edited.x, expected.x)


def test_without_a_mask_edits_are_only_put_together(comfy_host, linear, noisy, latent, directions):
    ticks, host = [], comfy_host.adapter
    together = host.edit_and_keep(
        linear,
        noisy,
        directions,
        [1.0],
        latent,
        progress=lambda *tick: ticks.append(tick),
        steps=2,
    )
    apart = host.edit_pictures(
        linear, noisy, directions, [1.0], latent, progress=lambda done, total: None, steps=2
    )
    assert torch.equal(together.x, torch.cat([edits.x for edits in apart]))
    assert ticks[-1] == (8, 8)


@pytest.mark.parametrize("forecast", [True, False])
def test_edits_are_forecast_or_sampled_to_the_end(comfy_host, linear, noisy, latent, forecast):
    ticks = []
    one = {name: value[:1] if name == "samples" else value for name, value in latent.items()}
    finished = comfy_host.adapter.finish_edits(
        linear, noisy, one, progress=lambda *tick: ticks.append(tick), forecast=forecast
    )
    expected = linear.denoise(noisy.x, 0.5) if forecast else comfy_host.core.ddim.generate(linear, noisy)
    torch.testing.assert_close(finished, expected)
    assert ticks == [(1, 2), (2, 2)]
