"""The words of the bundled model."""

import pytest
import torch

from pullback_core.faces import vocabulary
from pullback_core.faces.parameters import COLUMN, NAMES, columns


@pytest.mark.parametrize("phrase", vocabulary.SLOT_OF)
def test_every_phrase_is_understood_and_can_be_drawn(phrase):
    slot = vocabulary.SLOT_OF[phrase]
    tokens = vocabulary.tokenize(f" {phrase.upper()} ,")
    expected = torch.arange(len(vocabulary.SLOTS))
    expected[vocabulary.SLOTS.index(slot)] = vocabulary.TOKEN[phrase]
    assert torch.equal(tokens, expected)
    parameters = torch.full((1, len(NAMES)), 0.5)
    if slot in vocabulary.PALETTES:
        parameters[0, columns(slot)] = torch.tensor(vocabulary.PALETTES[slot][phrase])
    else:
        parameters[0, COLUMN[slot]] = sum(vocabulary.INTERVALS[slot][phrase]) / 2
    for read in (vocabulary.describe, vocabulary.classify):
        assert read(parameters)[0, vocabulary.SLOTS.index(slot)] == vocabulary.TOKEN[phrase]


def test_between_two_phrases_nothing_is_said_but_the_nearest_is_classified():
    parameters = torch.full((1, len(NAMES)), 0.5)
    parameters[0, COLUMN["smile"]] = 0.6
    column = vocabulary.SLOTS.index("smile")
    assert vocabulary.describe(parameters)[0, column] == column
    assert vocabulary.classify(parameters)[0, column] == vocabulary.TOKEN["smiling"]


def test_a_description_is_the_prompt_that_was_drawn():
    prompt = "old, dark skin, long hair, smiling, glasses, no beard, no hat, looking left, "
    prompt += "red hair, blue background"
    parameters = torch.full((2, len(NAMES)), 0.5)
    for phrase in prompt.split(", "):
        slot = vocabulary.SLOT_OF[phrase]
        if slot in vocabulary.PALETTES:
            parameters[:, columns(slot)] = torch.tensor(vocabulary.PALETTES[slot][phrase])
        else:
            parameters[:, COLUMN[slot]] = sum(vocabulary.INTERVALS[slot][phrase]) / 2
    parameters[:, COLUMN["mouth_open"]] = 0.5  # between its phrases
    parameters[1, COLUMN["hair_length"]] = 0.0
    # A description says nothing about hair that is not there.
    bald = prompt.replace("long hair", "bald").replace("red hair, ", "")
    assert torch.equal(
        vocabulary.describe(parameters), torch.stack([vocabulary.tokenize(prompt), vocabulary.tokenize(bald)])
    )


def test_the_empty_prompt_says_nothing():
    assert torch.equal(vocabulary.tokenize(""), torch.arange(len(vocabulary.SLOTS)))
    assert torch.equal(vocabulary.tokenize(" , "), vocabulary.tokenize(""))


@pytest.mark.parametrize(
    "prompt, message",
    [
        ("galsses", "does not know 'galsses'.*'glasses'"),
        ("a portrait in oil", "it knows: young, old"),
        ("blond", "'blond hair'"),
        ("hat, no hat", "'hat' and 'no hat'"),
    ],
)
def test_a_prompt_that_means_nothing_is_refused_helpfully(prompt, message):
    with pytest.raises(ValueError, match=message):
        vocabulary.tokenize(prompt)
