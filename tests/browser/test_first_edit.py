"""From a template to a true edit: one Run, one drag. On every host, this is the main path."""

from board_page import Board
from pictures import cosine, difference

QUICK_START = "1 Quick start"


def test_from_the_template_to_a_true_edit(comfy):
    comfy.open_template(QUICK_START)
    comfy.shoot("opened")
    board = Board(comfy)
    assert board.shows == "empty"
    assert comfy.run() == "success"
    board.wait_until_shows("before")
    comfy.shoot("ran")
    before = board.picture()
    assert before.std() > 20

    board.drag(0, 1.0, release=False)
    board.wait_until_shows("preview")
    preview = board.picture()
    assert difference(preview, before) > 1
    assert len(comfy.prompts) == 1, "a drag queues nothing"
    comfy.shoot("dragged")

    comfy.page.mouse.up()
    comfy.wait_for_prompts(2)
    assert comfy.prompts[-1]["partial_execution_targets"] == [board.node]
    board.wait_until_shows("true")
    assert board.part("badge").get_attribute("data-kind") in ("true", "differs")
    comfy.shoot("true")
    true = board.picture()
    assert difference(true, preview) > 0
    assert cosine(true - before, preview - before) > 0.8
    assert comfy.server.history()[-1]["status"]["status_str"] == "success"
    assert len(comfy.prompts) == 2, "a release queues one prompt"
    assert comfy.pack_messages() == []
