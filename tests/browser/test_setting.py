"""What the sliders do: several at a time, keys, double click, and the way back."""

import pytest
from pictures import difference


def test_several_sliders_add_up(board):
    before = board.picture()
    board.set(0, 1.0)
    one = board.picture()
    board.set(1, -1.5)
    both = board.picture()
    assert min(difference(before, one), difference(one, both), difference(before, both)) > 1
    assert board.state()["mix"][:3] == pytest.approx([1, -1.5, 0], abs=0.06)
    board.comfy.shoot("two")


def test_a_double_click_sets_a_slider_to_0_and_undo_brings_it_back(board):
    before = board.picture()
    board.set(0, 1.0)
    true = board.picture()
    x, y, _ = board.grip(0)
    board.page.mouse.dblclick(x, y)
    board.wait_until_shows("before")
    assert board.value(0) == 0
    assert difference(board.picture(), before) < 0.5
    board.press("undo")
    board.wait_until_shows("true")
    assert board.value(0) == pytest.approx(1, abs=0.06)
    assert difference(board.picture(), true) < 0.5
    board.slider(0).focus()
    board.page.keyboard.press("Control+z")
    board.wait_until_shows("before")
    assert board.value(0) == 0
    board.page.keyboard.press("Control+y")
    board.wait_until_shows("true")
    assert board.value(0) == pytest.approx(1, abs=0.06)
    board.press("reset")
    board.wait_until_shows("before")
    assert set(board.values().values()) == {0}
    assert board.comfy.nodes("PullbackBoard") == [board.node]


def test_keys_move_a_slider(board):
    board.slider(2).focus()
    for _ in range(5):
        board.page.keyboard.press("ArrowRight")
    board.wait_until_shows("true")
    assert board.value(2) == pytest.approx(0.5)
    assert board.state()["mix"][2] == pytest.approx(0.5)
    board.page.keyboard.press("Home")
    board.wait_until_shows("before")
    assert board.value(2) == 0


def test_the_page_deletes_the_node_and_undo_brings_its_board_back(board):
    board.set(0, 1.0)
    true = board.picture()
    board.select()
    board.page.keyboard.press("Delete")
    board.root.wait_for(state="detached")
    board.page.keyboard.press("Control+z")
    board.wait_until_shows("true")
    assert board.value(0) == pytest.approx(1, abs=0.06)
    assert difference(board.picture(), true) < 0.5
    assert len(board.comfy.prompts) == 2, "nothing runs again"


def test_cancelling_a_run_leaves_the_board_usable(board):
    before = board.picture()
    board.drag(0, 2.0)
    board.part("cancel").wait_for()
    board.press("cancel")
    board.wait_until_idle()
    assert board.shows in ("preview", "true")  # true if the run was quicker than the hand
    board.set(0, 1.0)
    assert difference(board.picture(), before) > 1
    assert board.comfy.server.history()[-1]["status"]["status_str"] == "success"


def test_before_and_after_by_holding_and_by_a_wipe(board):
    before = board.picture()
    board.set(0, 1.5)
    true = board.picture()
    eye = board.part("compare").bounding_box()
    board.page.mouse.move(eye["x"] + eye["width"] / 2, eye["y"] + eye["height"] / 2)
    board.page.mouse.down()
    board.wait_until_shows("before")
    assert difference(board.picture(), before) < 0.5
    board.page.mouse.up()
    board.wait_until_shows("true")
    assert difference(board.picture(), true) < 0.5
    board.press("wipe")
    board.comfy.settle()
    board.comfy.shoot("wipe")
    wiped = board.picture()
    half = wiped.shape[1] // 2
    assert difference(wiped[:, : half - 3], before[:, : half - 3]) < 0.5
    assert difference(wiped[:, half + 3 :], true[:, half + 3 :]) < 0.5
    assert len(board.comfy.prompts) == 2, "looking queues nothing"
