"""The report: numbers of one face, on edits whose answers are known."""

import pytest
import torch

from pullback_core import faces
from pullback_core.evaluate.report import face_values, kinds_at
from pullback_core.faces.parameters import COLUMN


def test_forms_alone_have_measures_of_their_own():
    change = torch.zeros(2, len(faces.NAMES))
    change[0, COLUMN["hair_red"]], change[0, COLUMN["smile"]], change[0, COLUMN["hat"]] = 4.0, 3.0, 1.0
    change[1, COLUMN["smile"]] = -2.0
    rows = {"change": change.tolist(), "off_face": [0.1, 0.3], "length": [1.0, 3.0], "got": [0.1, 0.1]}
    found = face_values(rows)
    assert found["concentration"] == pytest.approx((0.5 + 1) / 2)
    assert found["concentration of forms"] == pytest.approx((0.75 + 1) / 2)
    assert (found["distinct"], found["distinct forms"], found["directions of forms"]) == (2, 1, 1)
    assert found["strongest form"] == pytest.approx(2.5) and found["off face"] == pytest.approx(0.2)


def test_guided_kinds_have_names_of_their_own(store):
    kinds = kinds_at(store, 0.5)
    assert kinds["h"] != kinds["h_guided"] and "smooth" in kinds
