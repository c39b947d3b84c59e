"""Painting a region: the directions sort for it without a run, and say how local they are."""

import re

import pytest
from pictures import difference, inside

MOUTH = (0.3, 0.62, 0.7, 0.85)  # left, top, right, bottom of where it is painted


@pytest.fixture
def painted(board):
    """The board, with its mouth painted and the brush still in hand."""
    board.press("brush")
    board.paint((0.38, 0.72), (0.62, 0.72), (0.6, 0.76), (0.4, 0.76))
    return board


def test_directions_of_the_region_appear_without_a_run(painted):
    board = painted
    board.slider(0, "region").wait_for()
    board.comfy.shoot("painted")
    assert len(board.comfy.prompts) == 1
    shares = [
        int(re.search(r"(\d+)\s*%", text).group(1))
        for text in board.part("share").all_inner_texts()
        if "%" in text
    ]
    assert shares and max(shares) > 10 and shares == sorted(shares, reverse=True)
    board.press("brush-clear")
    board.slider(0, "region").wait_for(state="detached")


def test_a_direction_of_the_region_changes_the_region_most(painted):
    board = painted
    board.press("brush")  # puts it away
    before = board.picture()
    board.drag(0, 1.5, "region", release=False)
    board.wait_until_shows("preview")
    local = board.picture() - before
    board.page.mouse.up()
    board.wait_until_shows("true")
    assert difference(board.picture(), before) > 0.3
    assert inside(local, *MOUTH) > 2 * (MOUTH[2] - MOUTH[0]) * (MOUTH[3] - MOUTH[1])
    state = board.state()
    assert state["region"]["strengths"][0] == pytest.approx(1.5, abs=0.06)
    assert any(abs(value) > 0.01 for value in state["mix"])
    board.comfy.shoot("region")
