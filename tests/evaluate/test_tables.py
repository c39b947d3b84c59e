"""Tables in Markdown."""

from pullback_core.evaluate import tables


def test_a_number_is_shown_with_its_interval():
    assert tables.shown([0.456, 0.4, 0.5]) == "0.46 [0.40, 0.50]"
    assert tables.shown([7.25, 7, 8], 1) == "7.2 [7.0, 8.0]"
    assert tables.shown(None) == ""


def test_a_measure_that_a_row_lacks_leaves_its_cell_empty():
    lines = tables.numbers_table("kind", {"a": ("A", 1), "b": ("B", 2)}, {"one": {"a": [1, 0, 2]}})
    assert lines == ["| kind | A | B |", "|---|---|---|", "| one | 1.0 [0.0, 2.0] |  |"]
