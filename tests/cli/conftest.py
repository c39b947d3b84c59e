"""Shared fixtures of the tests of the command line."""

import os
import sys

import pytest
import torch
from PIL import Image

from pullback_core import ddim
from pullback_core.cli.main import main
from pullback_core.study import measure

sys.path.insert(0, os.path.dirname(__file__))  # for `command_line`


@pytest.fixture
def refuse(tmp_path, monkeypatch, capsys):
    """refuse(arguments, part): the command ends with code 2 and one sentence with `part`, before any work.

    The working folder has a file that is not a picture and a picture of which a part is missing.
    """

    def work(*_, **__):
        raise AssertionError("Work has begun before the check.")

    for module, name in (
        (ddim, "invert"),
        (ddim, "generate"),
        (torch.multiprocessing, "spawn"),
        (measure, "compute_bases"),
    ):
        monkeypatch.setattr(module, name, work)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_text("not a picture")
    Image.effect_noise((300, 300), 90).save("whole.png")
    (tmp_path / "truncated.png").write_bytes((tmp_path / "whole.png").read_bytes()[:20_000])
    before = set(tmp_path.rglob("*"))

    def check(arguments, part):
        assert main(arguments) == 2
        message = capsys.readouterr().err.strip()
        assert part in message and message.startswith("pullback_core: ")
        assert len(message.splitlines()) == 1 and len(message) < 700
        assert set(tmp_path.rglob("*")) == before

    return check
