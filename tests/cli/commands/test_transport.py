"""The command `transport`, end to end on the bundled model."""

import json

import pytest
from command_line import QUICK, SHORT, ids_of, save_noise

from pullback_core import PullbackBasis, parallel_transport
from pullback_core.cli.commands import transport
from pullback_core.cli.main import main


def test_transport(tmp_path):
    assert main(["transport", *QUICK, "--face", "1", "--to-face", "2", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert 0 <= report["alignment"] <= 1 and report["method"] == "fitted" and "carr" in report["verdict"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "contact_sheet.png",
        "report.json",
        "source.safetensors",
        "target.safetensors",
        "carried.safetensors",
    }
    bases = [PullbackBasis.load(tmp_path / f"{name}.safetensors") for name in ("source", "carried")]
    assert [basis.kind for basis in bases] == ["rotated", "carried"]


@pytest.mark.parametrize("method, option", [("released", ["--method", "released"]), ("exact", ["--exact"])])
def test_the_paper_is_still_there(tmp_path, method, option):
    paper = ["--feature", "middle", "--no-rotate", "--unit", "guidance", "--guidance-steps", "2", *option]
    assert main(["transport", *SHORT, *paper, "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["method"] == method and report["verdict"] is None
    bases = [PullbackBasis.load(tmp_path / f"{name}.safetensors") for name in ("source", "target")]
    expected = parallel_transport(0, *bases, method=method)
    assert report["alignment"] == pytest.approx(expected.alignment)


def test_transport_of_a_face_to_itself_is_fully_aligned(tmp_path):
    assert main(["transport", *QUICK, "--face", "1", "--to-face", "1", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["alignment"] == pytest.approx(1, abs=1e-5)


def test_a_low_alignment_is_said_in_the_output_and_in_the_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(transport, "MEANINGLESS_ALIGNMENT", 1.1)
    assert main(["transport", *SHORT, "--method", "released", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["warning"].startswith(f"The alignment is only {report['alignment']:.2f}")
    assert report["warning"] in capsys.readouterr().out


def test_a_direction_is_carried_between_pictures_of_one_aspect_and_else_between_squares(tmp_path, capsys):
    save_noise(tmp_path / "portrait.png", (40, 60))
    save_noise(tmp_path / "landscape.png", (60, 40))
    command = ["transport", *SHORT, "--image", str(tmp_path / "portrait.png"), "--to-image"]
    for name, shape in (("portrait", (24, 16)), ("landscape", (16, 16))):
        assert main([*command, str(tmp_path / f"{name}.png"), "--out", str(tmp_path / name)]) == 0
        bases = [PullbackBasis.load(tmp_path / name / f"{end}.safetensors") for end in ("source", "target")]
        assert [tuple(basis.v.shape[2:]) for basis in bases] == [shape] * 2
        assert ("differ in aspect" in capsys.readouterr().out) == (name == "landscape")


BAD = [
    (["--to-face", "-2"], "--to-face"),
    (["--to-face", "9" * 20], "--to-face"),
    (["--to-image", "broken.png"], "broken.png"),
    (["--direction", "17"], "--direction"),
    (["--exact", "--method", "fitted"], "--exact"),
    (["--method", "best"], "--method"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["transport", *arguments], part)
