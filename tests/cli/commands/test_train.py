"""The command `train`. `tests/faces/test_train.py` tests the training itself."""

import pytest
import torch
from command_line import ids_of

from pullback_core import faces
from pullback_core.cli.main import main


def test_train_resumes_and_writes_a_usable_model(tmp_path):
    files = [
        "--checkpoint",
        str(tmp_path / "state.pt"),
        "--out",
        str(tmp_path / "model.safetensors"),
        "--batch",
        "4",
        "--workers",
        "1",
    ]
    assert main(["train", "--steps", "2", *files]) == 0
    first = faces.load_model(tmp_path / "model.safetensors")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 2
    assert main(["train", "--steps", "3", *files]) == 0
    second = faces.load_model(tmp_path / "model.safetensors")
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3
    assert first.fingerprint != second.fingerprint
    assert not list(tmp_path.glob("*.partial"))


def test_train_goes_on_from_a_finished_model_with_other_data(tmp_path):
    files = [
        "--checkpoint",
        str(tmp_path / "state.pt"),
        "--out",
        str(tmp_path / "model.safetensors"),
        "--batch",
        "4",
        "--workers",
        "1",
    ]
    assert (
        main(["train", "--steps", "1", "--data", "expressions", "--start", str(faces.WEIGHTS), *files]) == 0
    )
    begun, ended = faces.load_model(), faces.load_model(tmp_path / "model.safetensors")
    change = torch.cat([(a - b).flatten() for a, b in zip(begun.parameters(), ended.parameters())])
    assert 0 < change.abs().max() < 0.01


BAD = [
    (["--batch", "3"], "batch"),
    (["--batch", "0"], "--batch"),
    (["--batch", "-4"], "--batch"),
    (["--start", "nowhere.safetensors"], "nowhere.safetensors"),
    (["--start", "broken.png"], "broken.png"),
    (["--data", "cats"], "expressions"),
    (["--workers", "0"], "--workers"),
    (["--steps", "100000000000"], "--steps"),
    (["--learning-rate", "nan"], "--learning-rate"),
    (["--learning-rate", "inf"], "--learning-rate"),
    (["--learning-rate", "1e308"], "--learning-rate"),
    (["--learning-rate", "-1"], "--learning-rate"),
    (["--seed", str(2**64)], "--seed"),
    (["--checkpoint", "broken.png/below"], "--checkpoint"),
    (["--checkpoint", "."], "--checkpoint"),
    (["--checkpoint", "broken.png"], "broken.png"),
    (["--out", "."], "--out"),
    (["--out", "broken.png/below"], "--out"),
    (["--out", "same", "--checkpoint", "./same"], "two files"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["train", *arguments], part)
