"""Directions that are carried from other faces."""

import pytest
import torch

from pullback_core.evaluate.carried import CARRYING, carried_changes
from pullback_core.evaluate.kinds import BASES


def test_a_direction_carried_to_its_own_face_is_aligned(point):
    found = carried_changes(point, "picture_rotated_released", (0,))
    assert (found["source"], found["direction"]) == ([0], [0])
    assert found["alignment"][0] == pytest.approx(1, abs=1e-3)
    assert torch.tensor(found["change"]).shape == (1, 22)


def test_every_kind_of_basis_is_carried():
    assert {way.kind for way in CARRYING.values()} == set(BASES)
