"""The page of an evaluation."""

import re

from small_evaluation import SMALL

from pullback_core.evaluate.page import evaluation_page


def test_every_row_of_a_table_has_as_many_cells_as_its_heading(evaluation):
    page = evaluation_page(evaluation[1], SMALL, "the command", ["a.png"])
    cells = 0
    for line in page.splitlines():
        if line.startswith("|"):
            cells = cells or line.count("|")
            assert line.count("|") == cells, line
        else:
            cells = 0
    assert len(re.findall(r"^## ", page, re.MULTILINE)) >= 8
    assert "![" in page and "a.png" in page and page.isascii()
