"""Directions from words."""

import pytest
import torch

from pullback_core import faces
from pullback_core.evaluate.worded import (
    RECIPES,
    WORDS,
    wanted_change,
    word_values,
    worded_edits,
    words_to_add,
)
from pullback_core.faces.parameters import COLUMN


def face(**values):
    parameters = faces.example_parameters([3])[0]
    for name, value in values.items():
        parameters[COLUMN[name]] = value
    return parameters


def test_words_that_are_true_already_are_not_tried():
    assert "smiling" in words_to_add(face(smile=0.1))
    assert "smiling" not in words_to_add(face(smile=0.9))
    assert "blond hair" not in words_to_add(face(hair_length=0.0, beard=0.0))


def test_the_wanted_change_leads_into_the_interval_of_the_word():
    wanted = wanted_change("smiling", face(smile=0.1))
    assert wanted[COLUMN["smile"]] == pytest.approx(0.55) and wanted.count_nonzero() == 1
    assert wanted_change("green background", face(background_green=0.0))[COLUMN["background_green"]] > 0


def test_a_word_is_judged_by_what_changes():
    change = torch.zeros(22)
    change[COLUMN["smile"]], change[COLUMN["hat"]] = 3.0, -1.0
    found = word_values("smiling", change, face(smile=0.1))
    assert found == pytest.approx({"right": 1.0, "first": 1.0, "purity": 0.75, "outside": 1.0})
    assert word_values("smiling", -change, face(smile=0.1))["right"] == 0


def test_the_channels_of_a_colour_are_one_attribute():
    change = torch.zeros(22)
    change[COLUMN["hair_red"]], change[COLUMN["hair_green"]], change[COLUMN["smile"]] = 3.0, 4.0, 5.0
    assert word_values("smiling", change, face(smile=0.1))["purity"] == pytest.approx(0.5)


def test_every_recipe_is_measured_on_the_same_words(point):
    found = worded_edits(point)
    assert set(found) == set(RECIPES)
    assert len({tuple(rows["word"]) for rows in found.values()}) == 1
    assert set(found["shift"]["word"]) <= set(WORDS[:3])
