"""Results are known to be writable before any work begins."""

import tempfile
from pathlib import Path

import pytest
import torch

from pullback_core import ddim
from pullback_core.cli.main import main
from pullback_core.cli.writable import require_writable_file, require_writable_folder
from pullback_core.study import measure


def refuse_to_write(monkeypatch, folder):
    """A stand-in for a folder that may not be written to, which tests that run as root need."""
    plain = tempfile.mkstemp

    def refuse(*arguments, **options):
        if Path(options.get("dir") or ".").resolve() == folder:
            raise PermissionError(13, "Permission denied")
        return plain(*arguments, **options)

    monkeypatch.setattr(tempfile, "mkstemp", refuse)


@pytest.mark.parametrize(
    "arguments, option",
    [
        (["edit", "--out"], "--out"),
        (["transport", "--out"], "--out"),
        (["over-time", "--out"], "--out"),
        (["features", "--out"], "--out"),
        (["invert", "--out"], "--out"),
        (["study", "--out"], "--out"),
        (["study", "--cache"], "--cache"),
        (["train", "--out"], "--out"),
        (["train", "--checkpoint"], "--checkpoint"),
    ],
)
def test_a_folder_that_cannot_be_written_to_is_refused_before_any_work(
    arguments, option, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(ddim, "invert", None)
    monkeypatch.setattr(measure, "compute_bases", None)
    monkeypatch.setattr(torch.multiprocessing, "spawn", None)
    (tmp_path / "locked").mkdir()
    refuse_to_write(monkeypatch, tmp_path / "locked")
    assert main([*arguments, "locked/file" if arguments[0] == "train" else "locked"]) == 2
    message = capsys.readouterr().err.strip()
    assert (
        f"{option}: 'locked" in message and "Permission denied" in message and len(message.splitlines()) == 1
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["locked"]


def test_a_folder_in_the_place_of_a_result_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(ddim, "invert", None)
    (tmp_path / "report.json").mkdir()
    assert main(["edit", "--out", str(tmp_path)]) == 2
    assert "report.json" in capsys.readouterr().err


def test_the_checks_leave_nothing_behind(tmp_path):
    require_writable_folder(tmp_path / "a" / "b", "--out")
    require_writable_file(tmp_path / "c" / "file", "--out")
    assert not list(tmp_path.iterdir())
