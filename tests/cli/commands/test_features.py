"""The command `features`, end to end on the bundled model."""

import json

import pytest
from command_line import ids_of, pixels

from pullback_core.cli.main import main


def test_features(tmp_path, capsys):
    quick = ["--steps", "12", "--rank", "2", "--refine", "1"]
    assert (
        main(["features", *quick, "--feature", "middle", "--feature", "input_3", "--out", str(tmp_path)]) == 0
    )
    found = json.loads((tmp_path / "report.json").read_text())["features"]
    assert [one["feature"] for one in found] == ["middle", "input_3"] and found[1]["shape"] == [96, 8, 8]
    out = capsys.readouterr().out
    assert all(f"{one['s'][0]:.3g}" in out for one in found) and "decay.png" in out
    assert pixels(tmp_path / "decay.png").std() > 5


def test_the_picture_is_a_feature_and_comes_last(tmp_path):
    short = ["--steps", "2", "--rank", "1", "--refine", "0", "--tolerance", "1"]
    assert main(["features", *short, "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "report.json").read_text())["features"]
    assert found[-1]["feature"] == "picture" and found[-1]["shape"] == [27, 16, 16]
    assert len(found) > 5 and "middle" in [one["feature"] for one in found]


BAD = [
    (["--feature", "output_9"], "output_5"),
    (["--feature", ""], "output_5"),
    (["--rank", "100000"], "--rank"),
    (["--tolerance", "nan"], "--tolerance"),
    (["--seed", str(2**64)], "--seed"),
    (["--out", "broken.png"], "--out"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["features", *arguments], part)
