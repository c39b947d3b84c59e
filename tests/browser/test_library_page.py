"""Keeping a setting under a name, and choosing it again by its picture."""

from board_page import Board
from graphs import add_board, face_graph
from pictures import difference

# The grid of the node Load Pullback Basis: a board has one of its own.
LIBRARY = "[data-pullback='library']:not([data-pullback='board'] *)"


def test_a_kept_setting_is_chosen_by_its_picture(comfy, renderer):
    graph = add_board(face_graph())
    comfy.build(graph)
    board = Board(comfy)
    board.show()
    assert comfy.run() == "success"
    board.wait_until_shows("before")
    board.set(0, 1.0)
    true = board.picture()
    name = f"rosy {renderer}"
    board.press("keep")
    board.part("keep-name").fill(name)
    board.press("keep-save")
    kept = board.part("library-entry").filter(has_text=name).first
    kept.wait_for()
    file = kept.get_attribute("data-file")
    comfy.shoot("kept")

    graph["nodes"]["load"] = ("PullbackLoadBasis", [1000, 0], {})
    graph["links"] = [link for link in graph["links"] if link[2:] != ("board", "basis")]
    graph["links"].append(("load", "PULLBACK_BASIS", "board", "basis"))
    comfy.build(graph)
    comfy.show("PullbackLoadBasis")
    comfy.page.locator(f"{LIBRARY} [data-pullback='library-entry'][data-file='{file}']").click()
    comfy.settle()
    comfy.shoot("chosen")
    assert comfy.widget("PullbackLoadBasis", "file") == file
    board = Board(comfy)
    board.show()
    assert comfy.run() == "success"
    board.wait_until_shows("before")
    assert set(board.values()) == {("direction", 0)}
    board.set(0, 1.0)
    assert difference(board.picture(), true) < 2
    assert comfy.pack_messages() == []
