"""Edits along the directions of a kind."""

import pytest
import torch
from small_evaluation import SMALL

from pullback_core import faces
from pullback_core.evaluate import edits
from pullback_core.evaluate.kinds import directions_of


def test_a_straight_edit_goes_as_far_as_its_length_says(point):
    rows = edits.straight_edits(point, "picture")["equal_change"]
    assert torch.tensor(rows["change"]).shape == (2, len(faces.NAMES))
    assert rows["got"] == pytest.approx([SMALL.change] * 2, rel=0.3)
    directions = directions_of("picture", point)
    far = torch.tensor(rows["length"]).view(-1, 1, 1, 1) * point.norm * directions.v
    again = edits.measure(point, torch.cat([far, -far]), directions)
    assert again["got"] == pytest.approx(rows["got"], rel=1e-3)
    assert min(again["preview"]) > 0.3


def test_equal_length_is_equal(point):
    rows = edits.straight_edits(point, "smooth")["equal_length"]
    assert rows["length"] == pytest.approx([SMALL.length] * 2, rel=1e-4)


def test_guided_edits_take_the_first_directions(point):
    rows = edits.guided_edits(point, "picture")
    assert set(rows) == {"equal_change"} and len(rows["equal_change"]["change"]) == SMALL.guided
