"""The command `edit`, end to end on the bundled model."""

import json

import numpy as np
import pytest
import torch
from command_line import QUICK, SHORT, ids_of, pixels, save_noise
from PIL import Image

from pullback_core import PullbackBasis
from pullback_core.cli.main import main


def test_the_run_without_arguments_makes_a_visible_edit(default_run):
    report = json.loads((default_run / "report.json").read_text())
    assert report["converged"] and max(report["residuals"]) <= report["parameters"]["tolerance"]
    assert report["inversion_psnr_db"] > 45
    assert len(report["directions"]) == 8 and report["jacobian_products"] > 0 and report["seconds"]
    basis = PullbackBasis.load(default_run / "basis.safetensors")
    assert basis.kind == report["kind"] == "rotated" and basis.provenance["feature"] == "picture"
    assert basis.thumbnail.shape == (48, 48, 3) and "0.5 T" in basis.notes
    assert basis.names[:8] == [one["name"] for one in report["directions"]]
    assert [one["response"] for one in report["directions"]] == basis.s[:8].tolist()
    assert len(report["singular_values"]) == report["parameters"]["rank"]
    reconstruction = pixels(default_run / "reconstruction.png")
    assert np.abs(reconstruction - pixels(default_run / "original.png")).max() <= 8
    for number in range(1, 9):
        plus, half, minus = (
            pixels(default_run / f"direction_{number}_strength_{value}.png") for value in ("+1", "+0.5", "-1")
        )
        assert np.abs(plus - minus).mean() > 2
        assert np.abs(plus - reconstruction).mean() > np.abs(half - reconstruction).mean()
    assert pixels(default_run / "contact_sheet.png").shape[1] > 600
    assert pixels(default_run / "singular_values.png").std() > 1
    assert not list(default_run.glob(".*"))


def test_the_same_command_gives_the_same_files(tmp_path):
    for run in ("a", "b"):
        assert main(["edit", *QUICK, "--face", "3", "--direction", "2", "--out", str(tmp_path / run)]) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir() if path.suffix == ".png")
    assert "direction_2_strength_+1.png" in names and "direction_1_strength_+1.png" not in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    one, other = (PullbackBasis.load(tmp_path / run / "basis.safetensors") for run in ("a", "b"))
    assert torch.equal(one.v, other.v) and torch.equal(one.u, other.u) and torch.equal(one.s, other.s)


def test_several_directions_are_edited_in_the_order_of_the_command(tmp_path):
    chosen = ["--direction", "2", "--direction", "1", "--direction", "2"]
    assert main(["edit", *SHORT, "--rank", "2", *chosen, "--out", str(tmp_path)]) == 0
    directions = json.loads((tmp_path / "report.json").read_text())["directions"]
    assert [one["direction"] for one in directions] == [2, 1]
    assert main(["edit", *SHORT, "--rank", "2", "--direction", "1", "--out", str(tmp_path / "one")]) == 0
    name = "direction_1_strength_+1.png"
    assert (tmp_path / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_the_old_edit_is_still_there(tmp_path):
    old = ["--feature", "middle", "--no-rotate", "--unit", "guidance", "--timestep", "0.7"]
    assert main(["edit", *SHORT, *old, "--guidance-steps", "2", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    basis = PullbackBasis.load(tmp_path / "basis.safetensors")
    assert basis.kind == report["kind"] == "singular" and basis.s.tolist() == report["singular_values"]
    assert "x-space guidance" in report["seconds"] and "strengths" not in report["seconds"]


def test_a_prompt_and_a_picture_of_ones_own(tmp_path):
    picture = (np.random.default_rng(0).random((9, 14, 3)) * 255).astype(np.uint8)
    Image.fromarray(picture).resize((280, 180)).save(tmp_path / "mine.jpg")
    source = ["--image", str(tmp_path / "mine.jpg"), "--prompt", "Glasses, smiling", "--crop"]
    assert main(["edit", *QUICK, *source, "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "original.png").size == (48, 48)


@pytest.mark.parametrize(
    "size, expected",
    [
        ((40, 60), (48, 72)),
        ((90, 60), (72, 48)),
        ((100, 131), (48, 63)),
        ((61, 60), (48, 48)),
        ((30, 240), (48, 384)),
        ((1000, 10), (384, 48)),
    ],
)
def test_an_edit_keeps_the_aspect_of_a_picture(size, expected, tmp_path, capsys):
    save_noise(tmp_path / "mine.png", size)
    assert main(["edit", *SHORT, "--image", str(tmp_path / "mine.png"), "--out", str(tmp_path / "out")]) == 0
    names = [
        "original",
        "reconstruction",
        "direction_1_strength_+1",
        "direction_1_strength_-1",
        "direction_1_map",
    ]
    sizes = [Image.open(tmp_path / "out" / f"{name}.png").size for name in names]
    assert sizes[:-1] == [expected] * 4
    assert sizes[-1] == (256, round(256 * expected[1] / expected[0]))
    assert PullbackBasis.load(tmp_path / "out" / "basis.safetensors").v.shape == (
        1,
        27,
        expected[1] // 3,
        expected[0] // 3,
    )
    assert ("trained on squares" in capsys.readouterr().out) == (expected != (48, 48))
    assert Image.open(tmp_path / "out" / "contact_sheet.png").height > 2 * 128 * expected[1] / max(expected)


BAD = [
    (["--timestep", "1.5"], "--timestep"),
    (["--timestep", "0"], "--timestep"),
    (["--timestep", "nan"], "--timestep"),
    (["--rank", "0"], "--rank"),
    (["--rank", "100000"], "6912"),
    (["--rank", "100000", "--feature", "middle"], "1536"),
    (["--rank", "two"], "--rank"),
    (["--direction", "17"], "--direction"),
    (["--strength", "0"], "--strength"),
    (["--strength", "inf"], "--strength"),
    (["--tolerance", "0"], "--tolerance"),
    (["--steps", "0"], "--steps"),
    (["--face", "-1"], "--face"),
    (["--prompt", "galsses"], "'glasses'"),
    (["--prompt", "glasses, no glasses"], "exclude"),
    (["--image", "nowhere.png"], "nowhere.png"),
    (["--image", "broken.png"], "broken.png"),
    (["--image", "truncated.png"], "truncated.png"),
    (["--face", "1", "--image", "broken.png"], "not allowed"),
    (["--model", "nowhere.safetensors"], "nowhere.safetensors"),
    (["--model", "broken.png"], "broken.png"),
    (["--out", "broken.png"], "--out"),
    (["--colour", "red"], "--colour"),
    *[
        ([option, value], option)
        for option, values in {
            "--seed": [str(2**64), str(-(2**63) - 1), "1.5", "nan", ""],
            "--face": ["9" * 20, "1e3", "", str(2**64)],
            "--boost": ["nan", "inf", "-0.1", "1.5", "x", ""],
            "--tolerance": ["nan", "inf", "-1", "1e30", ""],
            "--strength": ["nan", "-1e30", "1e30", "1e-300", ""],
            "--steps": ["100000000000", "1e11", "-1", "nan", "9" * 5000],
            "--guidance-steps": ["0", "100000000000", "inf", "4"],
            "--unit": ["metres", ""],
            "--average": ["0", "65", "1.5"],
            "--refine": ["-1", "100000000000", "0.5"],
            "--rank": ["-1", "1e3", "9" * 30, "nan"],
            "--direction": ["0", "-1", "9" * 30, "nan"],
            "--timestep": ["-0.5", "inf", "1e30", ""],
            "--prompt": ["x" * 1000],
            "--out": ["", " ", "a\0b", "below/" + "x" * 300, "broken.png/below", "broken.png/far/below"],
            "--image": [""],
            "--model": [""],
        }.items()
        for value in values
    ],
    *[
        ([option, name], f"'{name}'")
        for option in ("--image", "--model")
        for name in ("broken.png/below", ".")
    ],
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["edit", *arguments], part)
