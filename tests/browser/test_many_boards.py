"""Boards beside each other and within subgraphs: each shows its own picture."""

import pytest
from board_page import Board
from graphs import add_board, face_graph
from pictures import difference

INTO_SUBGRAPH = """id => {
  const graph = window.app.rootGraph ?? window.app.graph;
  const { node } = graph.convertToSubgraph(new Set([graph.getNodeById(id)]));
  window.app.canvas.openSubgraph(node.subgraph, node);
  return String(node.id);
}"""


def test_two_boards_show_their_own_pictures(comfy):
    graph = add_board(add_board(face_graph(), "one"), "two", (1000, 0))
    made = comfy.build(graph)
    one, two = Board(comfy, made["one"]), Board(comfy, made["two"])
    one.show(0.6)
    assert comfy.run() == "success"
    for board in (one, two):
        board.wait_until_shows("before")
    before = two.picture()
    one.set(0, 1.5)
    edited = one.picture()
    assert (two.shows, two.state()) == ("before", None)
    assert difference(two.picture(), before) < 0.5
    two.set(1, -1.5)
    comfy.shoot("two boards")
    assert one.shows == "true"
    assert difference(one.picture(), edited) < 0.5
    assert difference(two.picture(), edited) > 1
    assert comfy.pack_messages() == []


def test_a_board_in_a_subgraph(comfy):
    made = comfy.build(add_board(face_graph()))
    around = comfy.page.evaluate(INTO_SUBGRAPH, int(made["board"]))
    comfy.settle()
    board = Board(comfy)
    board.show()
    assert comfy.run() == "success"
    board.wait_until_shows("before")
    before = board.picture()
    board.set(0, 1.0)
    comfy.shoot("subgraph")
    assert comfy.prompts[-1]["partial_execution_targets"] == [f"{around}:{board.node}"]
    assert difference(board.picture(), before) > 1
    assert board.state()["mix"][0] == pytest.approx(1, abs=0.06)
    assert comfy.pack_messages() == []
