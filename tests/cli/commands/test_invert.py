"""The command `invert`, end to end on the bundled model."""

import json

import pytest
from command_line import ids_of

from pullback_core.cli.main import main


def test_invert(tmp_path, capsys):
    assert main(["invert", "--steps", "20", "--out", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "report.json").read_text())["psnr_db"]
    assert values["refined"] > values["plain"] + 3
    assert f"{values['refined']:.1f} dB" in capsys.readouterr().out


BAD = [
    (["--refine", "-1"], "--refine"),
    (["--out", "broken.png/below"], "--out"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["invert", *arguments], part)
