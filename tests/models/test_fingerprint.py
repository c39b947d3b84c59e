"""Fingerprints tell models, prompts and pictures apart, and nothing else."""

import hashlib

import pytest
import torch

from pullback_core import faces
from pullback_core.models.fingerprint import are_same_picture, hash_weights, picture_fingerprints, prompt_hash


@pytest.fixture(scope="module")
def clean():
    return faces.encode_image(faces.example_faces(range(24)))


def draw(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_fingerprints_tell_all_example_faces_apart(clean):
    fingerprints = picture_fingerprints(clean)
    same = [
        (i, j)
        for i, one in enumerate(fingerprints)
        for j, other in enumerate(fingerprints)
        if are_same_picture(one, other)
    ]
    assert same == [(i, i) for i in range(len(clean))]
    assert fingerprints == [picture_fingerprints(one[None])[0] for one in clean], (
        "the rest of the batch does not count"
    )


@pytest.mark.parametrize("change", ["eight bits", "half", "bfloat16", "noise", "brighter"])
def test_a_fingerprint_survives_another_encoding(clean, change):
    pictures = faces.decode_latent(clean)
    again = {
        "eight bits": lambda: faces.encode_image(((pictures + 1) * 127.5).round() / 127.5 - 1),
        "half": clean.half,
        "bfloat16": clean.bfloat16,
        "noise": lambda: clean + 0.02 * clean.std() * draw(*clean.shape),
        "brighter": lambda: faces.encode_image((pictures + 0.05).clamp(-1, 1)),
    }[change]()
    assert all(map(are_same_picture, picture_fingerprints(clean), picture_fingerprints(again)))


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 9, 7), (16, 64, 40), (128, 16, 16), (3, 1, 1)])
def test_latents_of_any_shape_have_one(shape):
    one, other = picture_fingerprints(draw(2, *shape))
    assert are_same_picture(one, one) and (shape[1] == 1 or not are_same_picture(one, other))


def test_a_fingerprint_is_the_same_in_every_version():
    """Basis files hold it."""
    ramp = torch.arange(4 * 16 * 16.0).view(1, 4, 16, 16) % 97
    assert are_same_picture(
        picture_fingerprints(ramp)[0], "582fcb12389bd10739139b10306270a35bd1090a00ef0fc408005fd73f3f612d"
    )


def test_unknown_pictures_are_the_same_as_any(clean):
    (fingerprint,) = picture_fingerprints(clean[:1])
    for unknown in (
        "",
        "a text",
        "abcd",
        *picture_fingerprints(torch.stack([clean[0] * 0, clean[0] * 0 + 3, clean[0] * float("nan")])),
    ):
        assert are_same_picture(unknown, fingerprint) and are_same_picture(fingerprint, unknown)


def test_the_hash_of_a_prompt_tells_prompts_apart_and_hides_them():
    assert len(prompt_hash("hat")) == 16 and int(prompt_hash("hat"), 16)
    assert prompt_hash("hat") != prompt_hash("Hat") != prompt_hash("")
    assert prompt_hash("") == "e3b0c44298fc1c14"  # basis files hold it


def test_the_hash_of_weights_is_that_of_their_names_shapes_and_first_numbers():
    def digest(**weights):
        found = hashlib.sha256()
        hash_weights(found, weights)
        return found.hexdigest()[:16]

    weight = torch.arange(6.0).view(2, 3)
    first = digest(one=weight)
    assert (
        first
        == digest(one=weight.half())
        == hashlib.sha256(b"one (2, 3) [0.0, 1.0, 2.0, 3.0]").hexdigest()[:16]
    )
    assert first not in (digest(two=weight), digest(one=weight.view(3, 2)), digest(one=weight + 1))
