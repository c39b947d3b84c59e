"""The command `apply`, end to end on the bundled model."""

from dataclasses import replace

import pytest
import torch
from command_line import ids_of, pixels, save_noise, strict_json

from pullback_core import PullbackBasis, faces, figures
from pullback_core.cli.main import main

FEW = ["--steps", "8", "--rank", "2", "--tolerance", "0.5", "--refine", "0"]


@pytest.fixture
def basis(tmp_path):
    """A file with the direction that makes a face brighter, found on no face in particular."""
    schedule = faces.FacesDenoiser(faces.load_model()).schedule
    v = torch.ones(1, *faces.LATENT_SHAPE)
    v = v / v.norm()
    one = PullbackBasis(
        v=v,
        s=torch.ones(1),
        u=v,
        residuals=torch.zeros(1),
        products=0,
        converged=True,
        sigma=schedule.sigma(0.5),
        timestep=0.5,
        provenance={"feature": "picture"},
        names=["brightness"],
    )
    one.save(tmp_path / "basis.safetensors")
    return one


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "pictures"
    made.mkdir()
    figures.save_picture(figures.to_pil(faces.example_faces([3])[0]), made / "face.png")
    (made / "broken.png").write_text("no picture")
    (made / "notes.txt").write_text("no picture either")
    return made


def test_one_bad_file_does_not_stop_the_others(tmp_path, basis, folder, capsys):
    save_noise(folder / "wide.jpg", (90, 60))
    out = tmp_path / "out"
    arguments = [str(tmp_path / "basis.safetensors"), str(folder), *FEW, "--least", "0", "--out", str(out)]
    assert main(["apply", *arguments]) == 0
    names = {"face.png.edited.png", "wide.jpg.edited.png", "contact_sheet.png", "report.json"}
    assert {path.name for path in out.iterdir()} == names
    report = strict_json(out / "report.json")
    assert report["applied"] == 2 and report["direction_name"] == "brightness"
    broken, face, _ = report["pictures"]
    assert broken["file"] == "broken.png" and broken["verdict"].startswith("not read: ")
    assert broken["alignment"] is None and 0 <= face["alignment"] <= 1
    before, after = pixels(folder / "face.png"), pixels(out / "face.png.edited.png")
    assert before.shape == after.shape and abs(before - after).mean() > 3
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["broken.png", "face.png", "wide.jpg"]


def test_a_direction_that_does_not_carry_over_edits_nothing(tmp_path, basis, folder):
    out = tmp_path / "out"
    arguments = [str(tmp_path / "basis.safetensors"), str(folder), *FEW, "--least", "1", "--out", str(out)]
    assert main(["apply", *arguments]) == 0
    assert {path.name for path in out.iterdir()} == {"contact_sheet.png", "report.json"}
    report = strict_json(out / "report.json")
    assert report["applied"] == 0 and report["pictures"][1]["verdict"].startswith("left alone: ")


BAD = [
    (["missing.safetensors", "."], "missing.safetensors"),
    (["broken.png", "."], "broken.png"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["apply", *arguments], part)


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["empty"], "holds no picture files"),
        (["nowhere"], "no folder"),
        (["empty", "--direction", "2"], "--direction"),
    ],
)
def test_a_folder_without_pictures_is_refused(tmp_path, basis, capsys, arguments, part):
    (tmp_path / "empty").mkdir()
    place = [str(tmp_path / arguments[0]), *arguments[1:]]
    assert main(["apply", str(tmp_path / "basis.safetensors"), *place]) == 2
    assert part in capsys.readouterr().err


def test_a_basis_of_another_model_is_refused(tmp_path, basis, folder, capsys):
    other = replace(basis, v=torch.ones(1, 4, 8, 8) / 16, u=torch.ones(1, 4, 8, 8) / 16)
    other.save(tmp_path / "other.safetensors")
    assert main(["apply", str(tmp_path / "other.safetensors"), str(folder)]) == 2
    assert "4 channels" in capsys.readouterr().err
