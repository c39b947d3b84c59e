"""Pictures to latents and back."""

import torch

from pullback_core import faces


def test_the_picture_becomes_a_latent_exactly():
    images = faces.example_faces([0, 1])
    latent = faces.encode_image(images)
    assert latent.shape == (2, 27, 16, 16)
    assert torch.equal(faces.decode_latent(latent), images)
