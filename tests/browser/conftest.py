"""Fixtures of the tests in the real page: a running ComfyUI and Chromium. Without both, they skip.

ComfyUI is found as `tests/hosts.py` says, and Chromium is the one of the system. PULLBACK_SCREENSHOTS names a
folder for the screenshots; without it they lie in pytest's folder of temporary files. PULLBACK_SERVER is the
address of a server that runs already, to try one test often.
"""

import contextlib
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))  # for `hosts`
sys.path.insert(0, os.path.dirname(__file__))
from board_page import Board
from browsers import find_browser, open_browser
from comfy_page import SIZE, ComfyPage
from graphs import add_board, face_graph
from hosts import find_host, find_python
from page_server import RENDERERS, PageServer, RunningServer


def pytest_runtest_setup(item):
    """Skip here, not in a fixture: then pytest says it in one line for all tests."""
    find_browser()
    if "server" in item.fixturenames and "PULLBACK_SERVER" not in os.environ:
        find_python(find_host())


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium."""
    with open_browser(find_browser()) as opened:
        yield opened


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """start_server(*options): a running server with the pack. It stops at the end of the tests."""
    running = []

    def start(*options):
        host = find_host()
        server = PageServer(host, find_python(host), tmp_path_factory.mktemp("server"), *options)
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture(scope="session")
def server(start_server):
    """The server that all tests share."""
    given = os.environ.get("PULLBACK_SERVER")
    return RunningServer(given) if given else start_server()


@pytest.fixture(scope="session")
def shots(tmp_path_factory):
    """The folder of the screenshots."""
    given = os.environ.get("PULLBACK_SCREENSHOTS")
    folder = Path(given).expanduser() if given else tmp_path_factory.mktemp("screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    yield folder
    print(f"\nThe screenshots are in {folder}")


@pytest.fixture(scope="module", params=RENDERERS)
def renderer(request, server):
    """The way in which the page draws nodes: on its canvas, or as elements (Nodes 2.0)."""
    server.use_renderer(request.param)
    return request.param


@pytest.fixture(scope="module")
def shared_page(browser, server, shots, renderer):
    """The page that the tests of a file share, because it takes seconds to load."""
    page = ComfyPage(browser.new_context(viewport=SIZE).new_page(), server, shots)
    page.open()
    yield page
    page.page.context.close()


def watched(page, request):
    """Yield a page that begins this test. Then photograph it and print what its console says of the pack."""
    page.begin(request.node.name.removeprefix("test_"))
    yield page
    if not page.page.is_closed():
        page.shoot("end")
    print(*page.pack_messages(), sep="\n")


@pytest.fixture
def comfy(shared_page, request):
    """The page, loaded. What an earlier test put on its canvas may still be there."""
    yield from watched(shared_page, request)


@pytest.fixture
def new_page(browser, server, shots, request):
    """new_page(server): another page of a server, not yet loaded."""
    with contextlib.ExitStack() as stack:

        def make(server):
            page = browser.new_context(viewport=SIZE).new_page()
            stack.callback(page.context.close)
            return stack.enter_context(
                contextlib.contextmanager(watched)(ComfyPage(page, server, shots), request)
            )

        yield make


@pytest.fixture
def board(comfy):
    """A board on a face of the bundled model. It ran, and nothing is set."""
    comfy.build(add_board(face_graph()))
    board = Board(comfy)
    board.show()
    assert comfy.run() == "success"
    board.wait_until_shows("before")
    yield board
    assert comfy.pack_messages() == []
