"""One strength, and the change that it makes."""

import pytest

from pullback_core.evaluate.strengths import WAYS, strengths


def test_measured_lengths_change_the_picture_by_strength_1(point):
    found = strengths(point, "picture")
    assert tuple(found) == WAYS and all(len(values) == 2 for values in found.values())
    assert found["measured"] == pytest.approx([1, 1], rel=0.3)
