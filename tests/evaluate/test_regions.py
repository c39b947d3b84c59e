"""Directions for a part of a face."""

import pytest

from pullback_core import faces
from pullback_core.evaluate.parts import PARTS
from pullback_core.evaluate.regions import INTENDED, masked_edits


@pytest.mark.parametrize("baseline", [False, True])
def test_an_edit_of_the_mouth_stays_at_the_mouth(baseline, point):
    found = masked_edits(point, baseline)
    assert set(found) == {"mouth"}
    rows = found["mouth"]
    assert len(rows["inside"]) == len(rows["intended"]) == len(rows["off_face"])
    assert all(0 <= share <= 1 for share in rows["inside"])
    assert rows["inside"][0] > 0.1  # the mouth has 2% of the picture


def test_every_part_has_attributes_that_are_intended():
    assert set(INTENDED) == set(PARTS)
    assert all(name in faces.NAMES for names in INTENDED.values() for name in names)
