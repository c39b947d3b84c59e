"""The sheet of directions x strengths, and the sliders of words."""

import pytest
from pictures import difference


def test_a_click_on_a_cell_takes_its_direction_and_strength(board):
    before = board.picture()
    board.press("sheet")
    cell = board.part("cell", row=1, strength=2)
    cell.scroll_into_view_if_needed()
    board.comfy.shoot("sheet")
    cell.click()
    board.comfy.wait_for_prompts(2)
    board.wait_until_shows("true")
    assert board.state()["mix"][:2] == pytest.approx([0, 2])
    assert difference(board.picture(), before) > 1


def test_words_get_sliders_with_the_share_that_is_explained(board):
    before = board.picture()
    board.part("words").fill("smiling, old")
    board.part("words").press("Enter")
    board.comfy.wait_for_prompts(2)
    board.part("slider", kind="word").first.wait_for()
    board.wait_until_shows("before")
    board.comfy.shoot("words")
    said = board.part("share").all_inner_texts()
    assert len([text for text in said if "%" in text]) == 2
    board.set(board.first_word(), 1.0, "word")
    assert difference(board.picture(), before) > 1
    assert board.state()["words"] == {"smiling": pytest.approx(1, abs=0.06)}
