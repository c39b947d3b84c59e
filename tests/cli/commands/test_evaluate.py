"""The command `evaluate`: its options and its output. `tests/evaluate` tests the evaluation itself."""

import pytest
from command_line import ids_of

from pullback_core.cli.commands import evaluate
from pullback_core.cli.main import main


def test_the_command_prints_what_the_defaults_reach(tmp_path, monkeypatch, capsys):
    def measured(out, cache, settings, *, jobs, backend, command):
        assert (out, cache, settings.faces, jobs, backend) == (tmp_path, tmp_path / "c", 4, 2, "loky")
        assert command == "python -m pullback_core evaluate --faces 4"
        own = {"distinct": [7.5, 7.2, 7.8], "off face / smooth": [0.9, 0.8, 1.0]}
        return {"directions": {"picture_rotated": {"0.5": own}}}

    monkeypatch.setattr(evaluate, "evaluate", measured)
    options = ["--faces", "4", "--jobs", "2", "--backend", "loky", "--cache", str(tmp_path / "c")]
    assert main(["evaluate", *options, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert " reached  7.50 [7.20, 7.80], at least 7: different strongest attributes among 8\n" in printed
    assert "  missed  0.90 [0.80, 1.00], at most 0.85: off face" in printed and "evaluation.md" in printed


BAD = [
    (["--faces", "1"], "at least 2"),
    (["--jobs", "0"], "--jobs"),
    (["--backend", "nonsense", "--jobs", "2"], "nonsense"),
    (["--backend", ""], "--backend"),
    (["--cache", "broken.png"], "--cache"),
    (["--out", "broken.png/below"], "--out"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["evaluate", *arguments], part)
