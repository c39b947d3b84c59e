"""Fixtures of the tests in the real page: a running ComfyUI and Chromium. Without both, they skip.

ComfyUI is found as `tests/hosts.py` says, and Chromium is the one of the system. PULLBACK_SCREENSHOTS names a
folder for the screenshots; without it they lie in pytest's folder of temporary files. PULLBACK_SERVER is the
address of a server that runs already, to try one test often.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(__file__)))  # for `hosts`
sys.path.insert(0, os.path.dirname(__file__))
from browsers import find_browser, open_browser
from comfy_page import SIZE, ComfyPage
from hosts import find_host, find_python
from page_server import RENDERERS, PageServer, RunningServer


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


@pytest.fixture
def new_page(browser, shots, request):
    """new_page(server): the page of a server in a tab of its own, not yet loaded.

    Each is photographed at the end, and what its console says of the pack is printed.
    """
    made = []

    def make(server):
        page = browser.new_context(viewport=SIZE).new_page()
        made.append(ComfyPage(page, server, shots, request.node.name.removeprefix("test_")))
        return made[-1]

    yield make
    for comfy in made:
        if not comfy.page.is_closed():
            comfy.shoot("end")
        print(*comfy.pack_messages(), sep="\n")
        comfy.page.context.close()


@pytest.fixture(params=RENDERERS)
def renderer(request, server):
    """The way in which the page draws nodes: on its canvas, or as elements (Nodes 2.0)."""
    server.use_renderer(request.param)
    return request.param


@pytest.fixture
def comfy(new_page, server, renderer):
    """The page, loaded."""
    page = new_page(server)
    page.open()
    return page
