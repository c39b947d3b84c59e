"""Whether directions come again."""

import pytest
import torch

from pullback_core.evaluate.kinds import Directions
from pullback_core.evaluate.repeats import compare, repeats


def directions(*rows):
    v = torch.eye(4)[list(rows)].view(len(rows), 1, 2, 2)
    return Directions(v, 2 * v)


def test_the_same_directions_in_another_order():
    found = compare(directions(0, 1), directions(1, 0), 2)
    assert found == pytest.approx({"span": 1.0, "direction": 1.0, "place": 0.0})


def test_a_direction_that_turned_around_is_another():
    own, other = directions(0), Directions(directions(0).v, -directions(0).pictures)
    found = compare(own, other, 1)
    assert found == pytest.approx({"span": 1.0, "direction": -1.0, "place": -1.0})


def test_other_directions():
    assert compare(directions(0, 1), directions(0, 2), 2)["span"] == pytest.approx(0.5)


def test_kinds_without_a_basis_are_refused(point):
    with pytest.raises(ValueError, match="no basis"):
        repeats(point, ("smooth",))
