"""A setting lies in the workflow: it comes back after a reload, from a file, and from a saved picture."""

import base64

import pytest
from board_page import Board
from graphs import add_board, face_graph
from pictures import difference

DROP = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), letter => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type: "image/png"}));
  const drop = new DragEvent("drop", {bubbles: true, cancelable: true, dataTransfer: transfer});
  window.app.canvas.canvas.dispatchEvent(drop);
}"""


@pytest.fixture
def board(comfy):
    """A board that shows the true picture of one slider at 1, and whose picture is saved."""
    graph = add_board(face_graph())
    graph["nodes"]["save"] = ("SaveImage", [1000, 0], {})
    graph["links"].append(("board", "IMAGE", "save", "images"))
    comfy.build(graph)
    comfy.load(comfy.saved())  # the page keeps what it loaded for the next reload
    board = Board(comfy)
    board.show()
    assert comfy.run() == "success"
    board.wait_until_shows("before")
    board.set(0, 1.0)
    yield board
    assert comfy.pack_messages() == []


def test_a_reload_shows_the_same_board(board):
    true = board.picture()
    board.page.wait_for_timeout(2000)  # the page stores the workflow a moment after a change
    board.comfy.reload()
    board.wait_until_shows("true")
    board.comfy.shoot("reloaded")
    assert board.value(0) == pytest.approx(1, abs=0.06)
    assert difference(board.picture(), true) < 2
    assert len(board.comfy.prompts) == 2, "nothing runs again"
    board.set(1, 1.0)
    assert board.value(0) == pytest.approx(1, abs=0.06)


def test_a_saved_workflow_brings_its_setting_into_another_page(board, new_page):
    other = new_page(board.comfy.server)
    other.open()
    other.load(board.comfy.saved())
    found = Board(other)
    found.show()
    assert found.state() == board.state()
    assert other.run() == "success"
    found.wait_until_shows("true")
    assert found.values() == board.values()
    assert difference(found.picture(), board.picture()) < 2
    assert other.pack_messages() == []


def test_a_picture_dropped_on_the_page_brings_its_setting(board, new_page):
    assert board.comfy.run() == "success"  # all of the workflow, so that the picture is saved
    [saved] = [
        picture
        for output in board.comfy.server.history()[-1]["outputs"].values()
        for picture in output.get("images", [])
        if picture["type"] == "output"
    ]
    other = new_page(board.comfy.server)
    other.open()
    data = base64.b64encode(other.server.download(saved)).decode()
    other.page.evaluate(DROP, [data, saved["filename"]])
    other.wait_for(
        "() => (window.app.rootGraph ?? window.app.graph).nodes.some(n => n.type === 'PullbackBoard')"
    )
    found = Board(other)
    found.show()
    assert found.state() == board.state()
    assert other.run() == "success"
    found.wait_until_shows("true")
    assert difference(found.picture(), board.picture()) < 2
