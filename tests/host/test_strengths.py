"""Strengths in units of what is seen, at the pictures of a LATENT."""

import pytest
import torch
from tiny_models import conditioning_for, latent_for, tiny_model

FRACTION = 0.5


@pytest.fixture(scope="module", params=["sd1", "flux"])
def measured(request, within, with_noise, comfy_host):
    """measured(fn): fn(denoiser, noisy, basis), of a tiny model and two directions."""
    core, adapter = comfy_host.core, comfy_host.adapter
    model = tiny_model(request.param)

    def run(fn):
        def work(denoiser, x0):
            noisy = with_noise(denoiser, x0, FRACTION)
            checked = adapter.check_derivatives(denoiser.with_feature("picture"), noisy[0])
            basis = core.local_basis(checked, noisy[0], 2, tolerance=0.1)
            return fn(denoiser, noisy, basis)

        conditioning = conditioning_for(request.param)
        return within(model, conditioning, latent_for(model), work, products=True)

    return run


def test_edits_of_equal_strength_change_the_prediction_by_the_unit(measured, comfy_host):
    adapter, unit = comfy_host.adapter, comfy_host.core.directions.strength.UNIT
    latent, done = {}, []

    def work(denoiser, noisy, basis):
        found = adapter.calibrate(
            denoiser, noisy, basis, [-0.5, 0.5], latent, progress=lambda *part: done.append(part), quick=True
        )
        [edits] = adapter.edit_pictures(
            denoiser, noisy, basis, [-0.5, 0.5], latent, progress=lambda *_: None, calibrated=found
        )
        change = denoiser.denoise(edits.x, edits.sigma) - denoiser.denoise(noisy.x, noisy.sigma)
        return found[0].reached, change.square().mean(dim=(1, 2, 3)).sqrt()

    reached, changes = measured(work)
    torch.testing.assert_close(changes.cpu().float(), unit * reached.abs().flatten(), rtol=0.02, atol=1e-4)
    torch.testing.assert_close(reached, torch.tensor([[-0.5, 0.5]] * 2), rtol=0.06, atol=0)
    assert done[-1][0] == done[-1][1]


def test_previews_are_the_first_order(measured, comfy_host):
    adapter = comfy_host.adapter

    def work(denoiser, noisy, basis):
        shown = adapter.preview_pictures(denoiser, noisy, basis, [-1.0, 0.0, 1.0], {"samples": noisy.x})
        return shown.unflatten(0, (2, 3))

    shown = measured(work)
    changes = shown - shown[:1, 1:2]
    torch.testing.assert_close(changes[:, 0], -changes[:, 2], rtol=1e-3, atol=1e-4)
    assert not changes[:, 1].any() and changes[:, 2].abs().max() > 0.05


def test_ranges_have_two_ends(measured, comfy_host):
    def work(denoiser, noisy, basis):
        return comfy_host.adapter.straight_ranges(
            denoiser, noisy, basis, progress=lambda *_: None, quick=True
        )

    ranges = measured(work)
    assert ranges.shape == (2, 2) and (ranges > 0).all() and torch.isfinite(ranges).all()
