"""Name Directions: words of the bundled model, and words through a CLIP."""

import pytest
import torch
from node_calls import BASIS_OPTIONS, refused
from tiny_models import tiny_conditioning


@pytest.fixture(scope="module")
def case(call, face):
    hosted = {**face.hosted, "sigmas": face.sigmas}
    options = {**BASIS_OPTIONS, "feature": "picture"}
    (basis,) = call("PullbackBasis", **hosted, rank=8, **options, rotate="one thing each")
    return {**hosted, "basis": basis}


class Reader:
    """A CLIP whose texts are numbers: the seeds of their CONDITIONING."""

    def tokenize(self, text):
        return int(text.split(", ")[-1])

    def encode_from_tokens_scheduled(self, tokens):
        return tiny_conditioning(tokens)


def test_directions_of_a_face_get_names(call, case):
    words = "dark skin, pale skin, blond hair, black hair\nred background, hat,, hat"
    named, report = call("PullbackNameDirections", **case, words=words)
    assert torch.equal(named.v, case["basis"].v) and any(named.names)
    assert report.splitlines() == [f"{i + 1}: {name}" for i, name in enumerate(named.names) if name]


def test_words_of_other_models_are_read_by_their_clip(call, tiny):
    hosted = {**tiny.hosted, "sigmas": tiny.sigmas}
    (basis,) = call("PullbackBasis", **hosted, rank=2, **{**BASIS_OPTIONS, "feature": "picture"})
    named, _ = call("PullbackNameDirections", **hosted, basis=basis, words="4, 5", prompt="9", clip=Reader())
    assert len(named.names) == 2
    with refused("connect the CLIP of its loader"):
        call("PullbackNameDirections", **hosted, basis=basis, words="4, 5")


@pytest.mark.parametrize("words", ["hat", "", "hat, hat"])
def test_a_choice_needs_two_words(call, case, words):
    with refused("at least two words"):
        call("PullbackNameDirections", **case, words=words)


def test_unknown_words_are_refused(call, case):
    with refused("does not know 'glases'; did you mean"):
        call("PullbackNameDirections", **case, words="hat, glases")


def test_a_basis_of_the_bottleneck_is_refused(call, case, face):
    with refused("does not know what its directions do to the picture"):
        call("PullbackNameDirections", **{**case, "basis": face.basis}, words="hat, beard")
