"""What masks keep: the shapes that they take, and denoisers that predict the picture there."""

import pytest
import torch
from tiny_families import draw
from tiny_models import conditioning_for, latent_for, tiny_model


@pytest.fixture(scope="module")
def halving(comfy_host):
    """A denoiser whose x_0 is x / 2, with a flow's noise levels."""

    class Halving(comfy_host.core.Denoiser):
        schedule, provenance = comfy_host.core.FlowSchedule(1.0), {"feature": "none"}

        def denoise(self, x, sigma):
            return x / 2

        def encode(self, x, sigma):
            return 3 * x

    return Halving()


def left_half(height=8, width=8):
    """A mask that lets an edit act on the right half."""
    mask = torch.zeros(1, height, width)
    mask[..., width // 2 :] = 1
    return mask


def test_a_mask_of_pixels_is_brought_to_the_size_of_the_latent(comfy_host):
    x = draw(2, 4, 8, 8, seed=1)
    mask = comfy_host.adapter.mask_of(left_half(64, 64), {}, x)
    assert mask.shape == x.shape and mask.dtype == x.dtype
    assert not mask[..., :4].any() and (mask[..., 4:] == 1).all()


def test_the_mask_of_the_node_counts_before_that_of_the_latent(comfy_host):
    x, latent = draw(1, 4, 8, 8, seed=1), {"samples": draw(1, 4, 8, 8, seed=2), "noise_mask": left_half()}
    assert comfy_host.adapter.mask_of(torch.ones(1, 8, 8), latent, x).all()
    assert not comfy_host.adapter.mask_of(None, latent, x).all()
    assert comfy_host.adapter.mask_of(None, {"samples": latent["samples"]}, x) is None


def test_a_masked_denoiser_predicts_the_picture_where_the_mask_is_zero(comfy_host, halving):
    x, clean = draw(4, 4, 8, 8, seed=1), draw(4, 8, 8, seed=2)
    masked = comfy_host.adapter.MaskedDenoiser(halving, [(clean, left_half()), None])
    denoised = masked.along(torch.tensor([0.5, 0.0])).denoise(x, 0.5)
    assert torch.equal(denoised[:2, ..., :4], clean[..., :4].expand(2, -1, -1, -1))
    assert torch.equal(denoised[:2, ..., 4:], x[:2, ..., 4:] / 2) and torch.equal(denoised[2:], x[2:] / 2)
    assert torch.equal(masked.encode(x, 0.5), 3 * x)
    assert masked.schedule is halving.schedule and masked.provenance == halving.provenance


def test_parts_of_other_pictures_are_refused(comfy_host, halving):
    masked = comfy_host.adapter.MaskedDenoiser(halving, [(draw(4, 8, 8, seed=2), left_half()), None])
    with pytest.raises(ValueError, match="keeps parts of 2 pictures and got 3"):
        masked.denoise(draw(3, 4, 8, 8, seed=1), 0.5)
    with pytest.raises(ValueError, match=r"of shape \(4, 8, 8\) and got \(4, 6, 6\)"):
        masked.denoise(draw(2, 4, 6, 6, seed=1), 0.5)


@pytest.mark.parametrize("kind", ["sd1", "flux", "qwen"])
@pytest.mark.parametrize("size", [None, 1])
def test_edits_are_changed_so_that_samplers_arrive_at_the_picture(comfy_host, within, kind, size):
    host, core, model = comfy_host.adapter, comfy_host.core, tiny_model(kind)
    clean = {**latent_for(model), "noise_mask": left_half()}
    sigmas, ticks = host.ddim_sigmas(model, 6, 0.5), []

    def work(denoiser, x0):
        noisy = core.ddim.invert(denoiser, x0, sigmas, refine=4)
        latent = host.noisy_latent(model, noisy, clean, host.inverted_origins(clean, x0, sigmas))
        edits = noisy.with_x(noisy.x + 0.1 * draw(2, *x0.shape[1:], seed=5))
        (kept,) = host.with_kept_parts(
            denoiser, [edits], latent, size, lambda done, total: ticks.append((done, total))
        )
        return x0, core.ddim.generate(denoiser, edits), core.ddim.generate(denoiser, kept)

    x0, plain, kept = within(model, conditioning_for(kind), clean, work)
    difference, before = ((x - x0)[..., :4].abs().max() / x0.abs().max() for x in (kept, plain))
    assert difference < 0.02 < before
    count = 12 * (2 if size else 1)
    assert ticks == [(done, count) for done in range(1, count + 1)]


def test_pictures_without_a_mask_keep_their_edits(comfy_host, halving):
    host, model = comfy_host.adapter, tiny_model()
    noisy = comfy_host.core.NoisyLatent(draw(2, 4, 8, 8, seed=1), torch.tensor([0.5, 0.0]))
    latent = host.noisy_latent(model, noisy)
    edits = [noisy[0], noisy[1]]
    assert host.with_kept_parts(halving, edits, latent) == edits
