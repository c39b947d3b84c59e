"""Pictures of one face edited by every kind."""

import torch

from pullback_core import faces
from pullback_core.evaluate import sheets
from pullback_core.faces.parameters import COLUMN


def test_words_are_wrapped_with_commas():
    assert sheets.wrapped(["smile", "hat", "glasses"], 11) == ["smile, hat,", "glasses"]
    assert sheets.wrapped([]) == [""]


def test_the_strongest_attribute_of_each_direction_is_named_once():
    change = torch.zeros(3, len(faces.NAMES))
    change[0, COLUMN["mouth_open"]], change[1, COLUMN["smile"]], change[2, COLUMN["mouth_open"]] = -2, 1, 3
    assert sheets.changed(change.tolist()) == ["mouth open", "smile"]


def test_the_sheet_has_a_row_for_each_kind(store, evaluation):
    sheet = sheets.kinds_sheet(store, 1)
    assert sheet.width > 3 * sheets.CELL and sheet.height > 9 * sheets.CELL
