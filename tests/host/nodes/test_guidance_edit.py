"""X-Space Guidance Edit: the core's edit, batches and masks."""

import torch
from node_calls import edit, sample


def test_the_edit_node_gives_the_cores_edit(call, comfy_host, face, alone):
    edited = edit(call, face.inputs, direction=2, strength=-0.7)
    core = comfy_host.core
    moved = core.edit(alone.denoiser, alone.noisy, face.basis.direction(1), strength=-0.7, steps=4)
    expected = comfy_host.adapter.noisy_latent(face.model, moved)["samples"]
    torch.testing.assert_close(edited["samples"], expected, rtol=1e-4, atol=2e-3)
    assert (edited["samples"] - face.latent["samples"]).norm() > 20 * (edited["samples"] - expected).norm()


def test_a_batch_of_edits_runs_over_pictures_then_directions_then_strengths(call, tiny):
    inputs = {
        **tiny.inputs,
        "latent": {"samples": torch.cat([tiny.latent["samples"], tiny.latent["samples"].flip(2)])},
    }
    batch = edit(call, inputs, direction=2, directions=2, strengths=3, strength=0.5)["samples"]
    apart = torch.cat(
        [
            edit(
                call, {**inputs, "latent": {"samples": picture[None]}}, direction=direction, strength=strength
            )["samples"]
            for picture in inputs["latent"]["samples"]
            for direction in (2, 3)
            for strength in (-0.5, 0.0, 0.5)
        ]
    )
    torch.testing.assert_close(batch, apart, rtol=1e-4, atol=1e-3)
    distances = torch.cdist(apart.flatten(1)[None], apart.flatten(1)[None])[0]
    same = (distances < 0.01).nonzero().tolist()
    assert [[i, j] for i, j in same if i < j] == [[1, 4], [7, 10]], "only those of strength 0 may be alike"


def left_half(size=8):
    """A mask of pixels, 1 in the left half."""
    mask = torch.zeros(1, size, size)
    mask[:, :, : size // 2] = 1
    return mask


def test_a_mask_confines_the_edit(call, tiny):
    change = edit(call, tiny.inputs, mask=left_half(), strength=2.0)["samples"] - tiny.latent["samples"]
    assert change[..., :4].abs().max() > 0.1
    assert change[..., 4:].abs().max() < 1e-4


def test_a_mask_of_pixels_acts_at_the_size_of_the_latent(call, tiny):
    small, large = (edit(call, tiny.inputs, mask=left_half(size))["samples"] for size in (8, 64))
    torch.testing.assert_close(large, small)


def test_the_latents_own_noise_mask_counts_when_no_mask_is_given(call, tiny):
    unknown = {
        "samples": tiny.latent["samples"]
    }  # of an unknown picture, so there is nothing to keep but the noise
    masked = {**tiny.inputs, "latent": {**unknown, "noise_mask": left_half()[:, None]}}
    edited = edit(call, masked)
    assert torch.equal(edited["samples"], edit(call, tiny.inputs, mask=left_half())["samples"])
    assert "noise_mask" not in edited, "the sampler that follows would keep the noise below it"
    assert torch.equal(
        edit(call, masked, mask=torch.ones(1, 8, 8))["samples"], edit(call, tiny.inputs)["samples"]
    )


def test_each_picture_of_a_batch_has_its_own_noise_mask(call, tiny):
    masks = torch.stack([left_half(), 1 - left_half()])
    latent = {"samples": tiny.latent["samples"].repeat(2, 1, 1, 1), "noise_mask": masks}
    change = edit(call, {**tiny.inputs, "latent": latent})["samples"] - latent["samples"]
    assert change[0, ..., 4:].abs().max() < 1e-4 < 0.1 < change[0, ..., :4].abs().max()
    assert change[1, ..., :4].abs().max() < 1e-4 < 0.1 < change[1, ..., 4:].abs().max()


def test_strengths_in_units_of_what_is_seen(call, comfy_host, face, alone):
    core = comfy_host.core
    edited = edit(call, face.inputs, direction=2, directions=2, strengths=2, unit="picture")
    basis = face.basis.select([1, 2])
    moved = core.directions.strength.edit_by(alone.denoiser, alone.noisy, basis, [-1.0, 1.0])
    expected = comfy_host.adapter.noisy_latent(face.model, moved)["samples"]
    torch.testing.assert_close(edited["samples"], expected, rtol=1e-3, atol=2e-2)
    ends = sample(call, face, edited), sample(call, face, face.latent)
    change = (ends[0] - ends[1]).square().mean(dim=(1, 2, 3)).sqrt()
    assert (change > 0.05).all() and (change < 0.4).all()


def test_a_mask_confines_straight_moves_too(call, tiny):
    change = edit(call, tiny.inputs, mask=left_half(), unit="picture")["samples"] - tiny.latent["samples"]
    assert change[..., :4].abs().max() > 1e-3
    assert change[..., 4:].abs().max() < 1e-5
