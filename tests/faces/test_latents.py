"""Pictures to latents and back."""

import torch

from pullback_core import faces


def test_the_picture_becomes_a_latent_exactly():
    images = faces.example_faces([0, 1])
    latent = faces.encode_image(images)
    assert latent.shape == (2, 27, 16, 16)
    assert torch.equal(faces.decode_latent(latent), images)


def test_a_mask_becomes_weights_of_the_latent_exactly():
    mask = torch.rand(48, 48, generator=torch.Generator().manual_seed(0))
    weights = faces.encode_mask(mask)
    images = faces.example_faces([0])
    masked = faces.decode_latent(faces.encode_image(images) * weights)
    torch.testing.assert_close(masked, images * mask)
