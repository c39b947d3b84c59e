"""`main`: it finds the commands, runs one, and turns errors into one sentence."""

from pathlib import Path

import pytest
import torch
from command_line import strict_json

from pullback_core import faces, threads
from pullback_core.cli import commands
from pullback_core.cli.main import main

# Commands of released versions. They stay, and the help lists them in this order.
KNOWN = ["edit", "transport", "over-time", "features", "invert", "study", "train"]
COMMANDS = [path.stem.replace("_", "-") for path in Path(commands.__file__).parent.glob("[!_]*.py")]


def test_help_lists_every_command_in_order(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    listed = [line.split()[0] for line in lines if line.startswith("    ") and line[4] != " "]
    assert sorted(listed) == sorted(COMMANDS)
    assert [name for name in listed if name in KNOWN] == KNOWN


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_a_help_text(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert end.value.code == 0 and f"{command} [-h]" in capsys.readouterr().out


def test_a_command_is_its_file_alone(tmp_path, monkeypatch, capsys):
    source = """
POSITION = 99
SUMMARY = "Greet."
def add_arguments(parser): parser.add_argument("--name", default="you")
def run(options): print("hello", options.name)
"""
    (tmp_path / "say_hello.py").write_text(source)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path)])
    assert main(["say-hello", "--name", "me"]) == 0
    assert capsys.readouterr().out == "hello me\n"


def test_an_unknown_command_is_refused(refuse):
    refuse(["paint"], "paint")


def test_commands_compute_in_one_thread_and_restore_the_number(tmp_path, monkeypatch):
    for name in threads.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    seen, plain = [], faces.FacesDenoiser.denoise
    monkeypatch.setattr(
        faces.FacesDenoiser, "denoise", lambda *given: seen.append(torch.get_num_threads()) or plain(*given)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert main(["invert", "--steps", "2", "--refine", "0", "--out", str(tmp_path)]) == 0
        assert set(seen) == {1} and torch.get_num_threads() == 2
        assert strict_json(tmp_path / "report.json")["threads"] == 1
        assert main(["invert", "--model", "nowhere"]) == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
