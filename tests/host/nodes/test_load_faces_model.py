"""Load Faces Model: its VAE loses nothing, and its conditioning has no words."""

import torch


def test_the_faces_vae_is_exact(face):
    with torch.inference_mode():
        torch.testing.assert_close(face.vae.decode(face.clean["samples"]), face.image, rtol=0, atol=1e-6)


def test_its_conditioning_is_that_of_no_words(call):
    _, _, conditioning = call("PullbackLoadFacesModel")
    (no_words,) = call("PullbackFacesPrompt", text="")
    torch.testing.assert_close(conditioning[0][0], no_words[0][0], rtol=0, atol=0)
