"""The command line, end to end on the real model."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from pullback_core import PullbackBasis, faces
from pullback_core.cli import main

QUICK = ["--steps", "12", "--rank", "2", "--guidance-steps", "4", "--tolerance", "0.1"]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def test_the_default_run_makes_a_visible_edit(tmp_path):
    assert main(["edit", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["converged"] and max(report["residuals"]) <= report["parameters"]["tolerance"]
    assert report["inversion_psnr_db"] > 45
    assert len(report["directions"]) == 5 and report["jacobian_products"] > 0 and report["seconds"]
    assert PullbackBasis.load(tmp_path / "basis.safetensors").s.tolist() == report["singular_values"]
    reconstruction = pixels(tmp_path / "reconstruction.png")
    assert np.abs(reconstruction - pixels(tmp_path / "original.png")).max() <= 8
    for number in range(1, 6):
        plus, half, minus = (pixels(tmp_path / f"direction_{number}_strength_{value}.png") for value in ("+1", "+0.5", "-1"))
        assert np.abs(plus - minus).mean() > 2
        assert np.abs(plus - reconstruction).mean() > np.abs(half - reconstruction).mean()
    assert pixels(tmp_path / "contact_sheet.png").shape[1] > 600
    assert pixels(tmp_path / "singular_values.png").std() > 1
    assert not list(tmp_path.glob(".*"))


def test_the_same_command_gives_the_same_files(tmp_path):
    for run in ("a", "b"):
        assert main(["edit", *QUICK, "--face", "3", "--direction", "2", "--out", str(tmp_path / run)]) == 0
    names = sorted(path.name for path in (tmp_path / "a").iterdir() if path.suffix == ".png")
    assert "direction_2_strength_+1.png" in names and "direction_1_strength_+1.png" not in names
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    one, other = (PullbackBasis.load(tmp_path / run / "basis.safetensors") for run in ("a", "b"))
    assert torch.equal(one.v, other.v) and torch.equal(one.u, other.u) and torch.equal(one.s, other.s)


def test_a_prompt_and_a_picture_of_ones_own(tmp_path):
    picture = (np.random.default_rng(0).random((9, 14, 3)) * 255).astype(np.uint8)
    Image.fromarray(picture).resize((280, 180)).save(tmp_path / "mine.jpg")
    source = ["--image", str(tmp_path / "mine.jpg"), "--prompt", "Glasses, smiling"]
    assert main(["edit", *QUICK, *source, "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "original.png").size == (48, 48)


def test_transport(tmp_path):
    assert main(["transport", *QUICK, "--face", "1", "--to-face", "2", "--out", str(tmp_path)]) == 0
    assert 0 <= json.loads((tmp_path / "report.json").read_text())["alignment"] <= 1
    assert {path.name for path in tmp_path.iterdir()} == {"contact_sheet.png", "report.json", "source.safetensors", "target.safetensors"}


def test_transport_of_a_face_to_itself_is_fully_aligned(tmp_path):
    assert main(["transport", *QUICK, "--face", "1", "--to-face", "1", "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "report.json").read_text())["alignment"] == pytest.approx(1, abs=1e-5)


def test_over_time(tmp_path):
    assert main(["over-time", *QUICK, "--timesteps", "0.8", "0.4", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [basis["timestep"] for basis in report["bases"]] == pytest.approx([0.4, 0.8], abs=1e-3)
    assert report["distances"][0][1] > 0.1
    assert PullbackBasis.load(tmp_path / "basis_0.4.safetensors").s.tolist() == report["bases"][0]["singular_values"]
    assert pixels(tmp_path / "contact_sheet.png").std() > 5 and pixels(tmp_path / "distances.png").std() > 5


def test_features(tmp_path, capsys):
    quick = ["--steps", "12", "--rank", "2", "--refine", "1"]
    assert main(["features", *quick, "--feature", "middle", "--feature", "input_3", "--out", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "report.json").read_text())["features"]
    assert [one["feature"] for one in found] == ["middle", "input_3"] and found[1]["shape"] == [96, 8, 8]
    out = capsys.readouterr().out
    assert all(f"{one['s'][0]:.3g}" in out for one in found) and "decay.png" in out
    assert pixels(tmp_path / "decay.png").std() > 5


def test_invert(tmp_path, capsys):
    assert main(["invert", "--steps", "20", "--out", str(tmp_path)]) == 0
    values = json.loads((tmp_path / "report.json").read_text())["psnr_db"]
    assert values["refined"] > values["plain"] + 3
    assert f"{values['refined']:.1f} dB" in capsys.readouterr().out


def test_no_arguments_run_the_edit(tmp_path):
    subprocess.run([sys.executable, "-m", "pullback_core"], cwd=tmp_path, check=True, env=os.environ | {"PYTHONPATH": os.getcwd()})
    assert (tmp_path / "output" / "edit" / "contact_sheet.png").is_file()


BAD = [
    (["edit", "--timestep", "1.5"], "--timestep"),
    (["edit", "--timestep", "0"], "--timestep"),
    (["edit", "--timestep", "nan"], "--timestep"),
    (["edit", "--rank", "0"], "--rank"),
    (["edit", "--rank", "100000"], "1536"),
    (["edit", "--rank", "two"], "--rank"),
    (["edit", "--direction", "9"], "--direction"),
    (["edit", "--strength", "0"], "--strength"),
    (["edit", "--strength", "inf"], "--strength"),
    (["edit", "--tolerance", "0"], "--tolerance"),
    (["edit", "--steps", "0"], "--steps"),
    (["edit", "--face", "-1"], "--face"),
    (["edit", "--prompt", "galsses"], "'glasses'"),
    (["edit", "--prompt", "glasses, no glasses"], "exclude"),
    (["edit", "--image", "nowhere.png"], "nowhere.png"),
    (["edit", "--image", "broken.png"], "broken.png"),
    (["edit", "--image", "truncated.png"], "truncated.png"),
    (["edit", "--face", "1", "--image", "broken.png"], "not allowed"),
    (["edit", "--model", "nowhere.safetensors"], "nowhere.safetensors"),
    (["edit", "--model", "broken.png"], "broken.png"),
    (["edit", "--out", "broken.png"], "--out"),
    (["transport", "--to-face", "-2"], "--to-face"),
    (["over-time", "--timesteps", "0.5", "1.5"], "1.5"),
    (["over-time", "--timesteps", "0.5", "0"], "above 0"),
    (["over-time", "--direction", "9"], "--direction"),
    (["features", "--feature", "output_9"], "output_5"),
    (["study", "--samples", "2"], "at least 3"),
    (["train", "--batch", "3"], "batch"),
    (["train", "--start", "nowhere.safetensors"], "nowhere.safetensors"),
    (["train", "--data", "cats"], "expressions"),
    (["paint"], "paint"),
    (["edit", "--colour", "red"], "--colour"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=[" ".join(arguments) for arguments, _ in BAD])
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.png").write_text("not a picture")
    Image.effect_noise((300, 300), 90).save("whole.png")
    (tmp_path / "truncated.png").write_bytes((tmp_path / "whole.png").read_bytes()[:20_000])
    before = set(tmp_path.rglob("*"))
    assert main(arguments) == 2
    message = capsys.readouterr().err.strip()
    assert part in message and message.startswith("pullback_core: ") and len(message.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.name == "nt", reason="interrupts are sent differently on Windows")
def test_an_interrupt_leaves_nothing_half_written(tmp_path):
    command = [sys.executable, "-m", "pullback_core", "edit", "--steps", "1000", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, errors="replace")
    while "DDIM inversion" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert not list(tmp_path.rglob("*"))


def test_train_resumes_and_writes_a_usable_model(tmp_path):
    files = ["--checkpoint", str(tmp_path / "state.pt"), "--out", str(tmp_path / "model.safetensors"), "--batch", "4", "--workers", "1"]
    assert main(["train", "--steps", "2", *files]) == 0
    first = faces.load_model(tmp_path / "model.safetensors")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2
    assert main(["train", "--steps", "3", *files]) == 0
    second = faces.load_model(tmp_path / "model.safetensors")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3
    assert first.fingerprint != second.fingerprint
    assert not list(tmp_path.glob("*.partial"))


def test_train_goes_on_from_a_finished_model_with_other_data(tmp_path):
    files = ["--checkpoint", str(tmp_path / "state.pt"), "--out", str(tmp_path / "model.safetensors"), "--batch", "4", "--workers", "1"]
    assert main(["train", "--steps", "1", "--data", "expressions", "--start", str(faces.WEIGHTS), *files]) == 0
    begun, ended = faces.load_model(), faces.load_model(tmp_path / "model.safetensors")
    change = torch.cat([(a - b).flatten() for a, b in zip(begun.parameters(), ended.parameters())])
    assert 0 < change.abs().max() < 0.01


def test_training_stops_in_a_sentence_when_numbers_are_not_finite(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    checkpoint = tmp_path / "state.pt"
    options = faces.TrainingOptions(steps=3, batch=4, workers=1, learning_rate=1e38, save_every=1)
    with pytest.raises(ValueError, match=r"stopped at step .* finite.*nothing was saved.*1e\+38"):
        faces.train_model(checkpoint, options, progress=False)
    assert not list(tmp_path.iterdir())
    options = faces.TrainingOptions(steps=1, batch=4, workers=1, save_every=1)
    faces.train_model(checkpoint, options, progress=False)
    sound = checkpoint.read_bytes()
    options = faces.TrainingOptions(steps=4, batch=8, workers=2, learning_rate=1e38, save_every=1)
    with pytest.raises(ValueError, match=r"state.pt' of step 1 is sound"):
        faces.train_model(checkpoint, options, progress=False)
    assert checkpoint.read_bytes() == sound
