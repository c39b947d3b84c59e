"""What the page asks for, through a server of aiohttp as the host has it."""

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer


@pytest.fixture(scope="module")
def basis(comfy_host):
    """A basis that version 0.1 saved."""
    return comfy_host.core.PullbackBasis.load(Path(__file__).parents[1] / "data" / "basis_0.1.safetensors")


@pytest.fixture
def prompt_server(comfy_host):
    """The class of the host's server. Its module can be imported only after the host is set up."""
    from server import PromptServer

    return PromptServer


@pytest.fixture
def ask(comfy_host, prompt_server, folders, monkeypatch):
    """ask(method, path, **options): the status and the content of an answer."""
    host = SimpleNamespace(routes=web.RouteTableDef())
    monkeypatch.setattr(prompt_server, "instance", host, raising=False)
    comfy_host.adapter.register_routes()
    comfy_host.adapter.register_routes()  # a pack that is loaded twice adds them once

    async def send(method, path, **options):
        application = web.Application()
        application.add_routes(host.routes)
        async with TestClient(TestServer(application)) as client:
            answer = await client.request(method, path, **options)
            is_json = answer.content_type == "application/json"
            return answer.status, await (answer.json() if is_json else answer.read())

    return lambda *arguments, **options: asyncio.run(send(*arguments, **options))


def test_without_a_server_nothing_happens(comfy_host, prompt_server, monkeypatch):
    monkeypatch.setattr(prompt_server, "instance", None, raising=False)
    comfy_host.adapter.register_routes()


def test_the_list_and_a_thumbnail(ask, call, basis):
    picture = torch.full((1, 8, 8, 3), 0.5)
    call("PullbackSaveBasis", basis=basis, filename_prefix="a/face", thumbnail=picture)
    status, entries = ask("GET", "/pullback/library")
    assert status == 200 and [entry["file"] for entry in entries] == ["a/face_00001.safetensors [output]"]
    status, data = ask("GET", "/pullback/library/thumbnail", params={"file": entries[0]["file"]})
    assert status == 200 and data.startswith(b"\x89PNG")


@pytest.mark.parametrize("file", ["none.safetensors", "../secret.safetensors", "", "a\0b"])
def test_a_thumbnail_that_there_is_not(ask, file):
    status, answer = ask("GET", "/pullback/library/thumbnail", params={"file": file})
    assert status == 404 and answer["error"].startswith("There is no basis file")


def test_a_file_without_a_thumbnail(ask, basis, folders):
    basis.save(folders.input / "plain.safetensors")
    status, answer = ask("GET", "/pullback/library/thumbnail", params={"file": "plain.safetensors"})
    assert status == 404 and answer["error"] == "The basis file 'plain.safetensors' has no thumbnail."


def test_keeping_calls_the_board(ask, comfy_host, monkeypatch):
    kept = []
    routes = sys.modules[f"{comfy_host.adapter.__name__}.library_routes"]
    monkeypatch.setattr(routes, "keep_setting", lambda *sent: kept.append(sent) or "kept [output]")
    sent = {"node": "12:5", "name": "a smile", "state": "{}"}
    assert ask("POST", "/pullback/keep", json=sent) == (200, {"file": "kept [output]"})
    assert kept == [("12:5", "{}", "a smile")]


@pytest.mark.parametrize("error", [ValueError, OSError])
def test_what_cannot_be_kept_is_said(ask, comfy_host, monkeypatch, error):
    def refuse(*_):
        raise error("Nothing is set.")

    monkeypatch.setattr(sys.modules[f"{comfy_host.adapter.__name__}.library_routes"], "keep_setting", refuse)
    sent = {"node": "1", "name": "", "state": ""}
    assert ask("POST", "/pullback/keep", json=sent) == (400, {"error": "Nothing is set."})


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"data": b"no json"}, "must be a JSON object with node, name, state"),
        ({"json": ["node", "name", "state"]}, "must be a JSON object"),
        ({"json": {"node": "1", "name": ""}}, "must be a JSON object"),
        ({"json": {"node": 1, "name": "", "state": ""}}, "must be a text"),
    ],
)
def test_requests_of_something_else_are_refused(ask, options, reason):
    status, answer = ask("POST", "/pullback/keep", **options)
    assert status == 400 and reason in answer["error"]


def test_a_board_that_did_not_run_is_said(ask):
    status, answer = ask("POST", "/pullback/keep", json={"node": "no such", "name": "", "state": ""})
    assert status == 400 and "run it first" in answer["error"]
