"""What words change in a picture of the bundled model."""

import pytest
import torch

from pullback_core import NoisyLatent, faces
from pullback_core.cli.session import Session
from pullback_core.cli.words import vocabulary, with_word, word_shifts


def noisy_at(session, image):
    """The picture with the noise of the run's timestep."""
    clean = faces.encode_image(image[None])
    sigma = session.denoiser.schedule.sigma(0.5)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    return NoisyLatent(clean + sigma * noise, torch.tensor([sigma, 0.0]))


@pytest.mark.parametrize(
    "prompt, word, expected",
    [
        ("", "smiling", "smiling"),
        ("frowning, glasses", "Smiling", "glasses, smiling"),
        ("hat", "no hat, old", "no hat, old"),
    ],
)
def test_a_word_takes_the_place_of_what_the_prompt_says_about_the_same_thing(prompt, word, expected):
    assert with_word(prompt, word) == expected


def test_the_shift_of_a_word_is_where_it_shows():
    session = Session(faces.WEIGHTS, "", timestep=0.5, steps=4, feature="picture")
    image = faces.example_faces([3])[0]
    shifts = word_shifts(session, image, noisy_at(session, image), ["smiling", "frowning"], seed=0)
    assert list(shifts) == ["smiling", "frowning"] and "words" in session.seconds
    energy = faces.decode_latent(shifts["smiling"][None]).square().sum(dim=(0, 1))
    assert energy[26:].sum() > 0.6 * energy.sum()  # the mouth is in the lower half
    cosine = torch.cosine_similarity(*(shift.flatten() for shift in shifts.values()), dim=0)
    assert cosine < -0.2


def test_a_word_that_changes_nothing_has_no_shift():
    session = Session(faces.WEIGHTS, "smiling", timestep=0.5, steps=4)
    image = faces.example_faces([3])[0]
    assert word_shifts(session, image, noisy_at(session, image), ["smiling"], seed=0) == {}


def test_directions_are_named_after_all_words():
    assert len(vocabulary()) == len(set(vocabulary())) == len(faces.vocabulary.SLOT_OF)
