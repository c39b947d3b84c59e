"""The command `study`: its options and its output. `tests/study` tests the study itself."""

import sys

import pytest
from command_line import ids_of

from pullback_core.cli.commands import study
from pullback_core.cli.main import main
from pullback_core.study.findings import Finding, Interval


def test_the_command_prints_the_verdicts(tmp_path, monkeypatch, capsys):
    def run_study(out, cache, settings, *, jobs, backend, command):
        assert (out, cache, settings.samples, jobs, backend) == (tmp_path, tmp_path / "c", 4, 2, "loky")
        assert command == "python -m pullback_core study --samples 4"
        return [
            Finding("a", "One claim", "", "", Interval(0.5, 0.2, 0.8), 1, 0.0, "", None, []),
            Finding("b", "Another", "", "", Interval(0.5, -0.2, 0.8), 1, 0.0, "", None, []),
        ]

    monkeypatch.setattr(study, "run_study", run_study)
    options = ["--samples", "4", "--jobs", "2", "--backend", "loky"]
    assert main(["study", *options, "--cache", str(tmp_path / "c"), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "       holds  One claim\nis undecided  Another\n" in printed and "findings.md" in printed


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
