"""Load Faces Model: its VAE loses nothing."""

import torch


def test_the_faces_vae_is_exact(face):
    with torch.inference_mode():
        torch.testing.assert_close(face.vae.decode(face.clean["samples"]), face.image, rtol=0, atol=1e-6)
