"""LATENT of ComfyUI <-> sampler coordinates, and what a noisy LATENT was made from."""

import pytest
import torch
from tiny_families import FLOWS, draw
from tiny_models import KINDS, conditioning_for, latent_for, tiny_conditioning, tiny_latent, tiny_model

every_family = pytest.mark.parametrize("family", FLOWS)


def noisy_of(comfy_host, x, sigma=0.5):
    return comfy_host.core.NoisyLatent(x, torch.tensor([sigma, sigma / 2, 0.0]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_clean_latent_of_a_unet_comes_as_the_model_sees_it(within, kind):
    model, latent = tiny_model(kind), tiny_latent(2)
    x = within(model, tiny_conditioning(), latent, lambda _, x: x)
    torch.testing.assert_close(x, model.model.process_latent_in(latent["samples"]))


@every_family
def test_a_clean_latent_comes_as_the_model_sees_it_and_goes_as_it_came(comfy_host, within, family):
    model = tiny_model(family)
    latent = latent_for(model)
    x = within(model, conditioning_for(family), latent, lambda _, x: x)
    assert x.ndim == 4 and x.std() == pytest.approx(1, abs=0.1)
    torch.testing.assert_close(
        comfy_host.adapter.clean_latent(model, x)["samples"], latent["samples"], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["sd1", "flux", "qwen"])
def test_a_noisy_latent_comes_back_as_it_went(comfy_host, within, kind):
    model = tiny_model(kind)
    x0 = within(model, conditioning_for(kind), latent_for(model), lambda _, x: x)
    noisy = noisy_of(comfy_host, draw(2, *x0.shape[1:], seed=4))
    latent = comfy_host.adapter.noisy_latent(model, noisy)
    back = within(model, conditioning_for(kind), latent, lambda _, noisy: noisy, sigmas=noisy.sigmas)
    torch.testing.assert_close(back.x, noisy.x, rtol=1e-4, atol=1e-4)
    assert back.sigma == noisy.sigma and torch.equal(back.sigmas, noisy.sigmas)


def test_a_level_that_the_model_lacks_is_refused(within):
    with pytest.raises(ValueError, match="up to 14"):
        within(tiny_model(), tiny_conditioning(), tiny_latent(), print, sigmas=torch.tensor([15.0, 0.0]))


def test_a_noisy_latent_keeps_other_entries_but_no_mask_and_no_numbers_of_noise(comfy_host):
    model = tiny_model()
    like = {**tiny_latent(1), "noise_mask": torch.ones(1, 8, 8), "batch_index": [3], "other": "kept"}
    one = comfy_host.adapter.noisy_latent(model, noisy_of(comfy_host, draw(1, 4, 8, 8, seed=1)), like)
    three = comfy_host.adapter.noisy_latent(model, noisy_of(comfy_host, draw(3, 4, 8, 8, seed=1)), like)
    assert "noise_mask" not in one and one["batch_index"] == [3] and one["other"] == "kept"
    assert "batch_index" not in three and "noise_mask" in like
    clean = comfy_host.adapter.clean_latent(model, draw(1, 4, 8, 8, seed=1), like)
    assert clean["noise_mask"] is like["noise_mask"] and clean["batch_index"] == [3]


def test_origins_say_of_each_edit_which_picture_it_is_of(comfy_host):
    host, model = comfy_host.adapter, tiny_model()
    x0, sigmas = draw(2, 4, 8, 8, seed=5), torch.tensor([0.5, 0.0])
    mask = torch.zeros(1, 8, 8)
    clean = host.clean_latent(model, x0, {"noise_mask": mask})
    origins = host.inverted_origins(clean, x0, sigmas)
    noisy = noisy_of(comfy_host, draw(2, 4, 8, 8, seed=6))
    latent = host.noisy_latent(model, noisy, clean, origins)
    edits = noisy_of(comfy_host, draw(4, 4, 8, 8, seed=7))
    edited = host.noisy_latent(model, edits, latent, host.edited_origins(latent, noisy))
    found = host.origins_of(edited)
    assert [origin.picture for origin in found] == [origins[0].picture] * 2 + [origins[1].picture] * 2
    assert origins[0].picture != origins[1].picture
    for origin, number in zip(found, (0, 0, 1, 1)):
        assert origin.sigma == 0.5 and origin.sigmas is sigmas
        assert torch.equal(origin.clean, x0[number]) and not origin.mask.any()


def test_other_samples_have_no_origin(comfy_host):
    host, model = comfy_host.adapter, tiny_model()
    x0 = draw(2, 4, 8, 8, seed=5)
    origins = host.inverted_origins(host.clean_latent(model, x0), x0, torch.tensor([0.5, 0.0]))
    latent = host.noisy_latent(model, noisy_of(comfy_host, draw(2, 4, 8, 8, seed=6)), None, origins)
    swapped = {**latent, "samples": latent["samples"].flip(0)}
    changed = {**latent, "samples": latent["samples"] + torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)}
    assert host.origins_of(swapped) == origins[::-1]
    assert host.origins_of(changed) == [origins[0], None]
    assert host.origins_of(host.clean_latent(model, x0)) == [None, None]
