"""The command `study`: its options. `tests/study` runs it."""

import sys

import pytest
from command_line import ids_of

from pullback_core.cli.main import main


def test_the_study_says_at_once_that_it_needs_matplotlib(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.chdir(tmp_path)
    assert main(["study"]) == 2
    assert "pip install matplotlib" in capsys.readouterr().err and not list(tmp_path.iterdir())


BAD = [
    (["--samples", "2"], "at least 3"),
    (["--samples", "100000000000"], "--samples"),
    (["--jobs", "0"], "--jobs"),
    (["--jobs", "1.5"], "--jobs"),
    (["--jobs", "100000000000"], "--jobs"),
    (["--backend", "nonsense"], "nonsense"),
    (["--backend", "nonsense", "--jobs", "2"], "nonsense"),
    (["--backend", ""], "--backend"),
    (["--cache", "broken.png"], "--cache"),
    (["--cache", ""], "--cache"),
    (["--out", "broken.png/below"], "--out"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["study", *arguments], part)
