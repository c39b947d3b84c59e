"""Checkpoints that training cannot continue from are refused in a sentence. Nothing in them can run."""

import os
import pickle

import pytest
import torch
from refusals import refused

from pullback_core import faces
from pullback_core.faces.checkpoint import load_checkpoint
from pullback_core.faces.model import CONFIG


@pytest.fixture(scope="module")
def state():
    """What a checkpoint holds after no step."""
    model = faces.FacesModel(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters())
    return {
        "step": 0,
        "model": model.state_dict(),
        "ema": model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }


class Harm:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def test_damaged_checkpoints_are_refused(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "state.pt"
    torch.save(state, path)
    assert load_checkpoint(path)["step"] == 0
    data = path.read_bytes()
    nan = {name: torch.full_like(weight, float("nan")) for name, weight in state["ema"].items()}
    others = [
        [],
        1,
        {},
        {"step": 1},
        {**state, "step": "1"},
        {**state, "step": -1},
        {**state, "step": True},
        {**state, "model": {}},
        {**state, "ema": None},
        {**state, "ema": nan},
        {**state, "optimizer": {}},
        {**state, "optimizer": [1]},
        {**state, "model": [1]},
        {**state, "harm": Harm()},
    ]
    contents = [
        b"",
        b"text",
        pickle.dumps(Harm()),
        data[:1000],
        data[: len(data) // 2],
        data[:-1],
        data[:-100],
    ]
    for other in others:
        torch.save(other, path)
        refused(path, "remove it to train from the start", load_checkpoint, "checkpoint")
    for content in contents:
        path.write_bytes(content)
        refused(path, "remove it to train from the start", load_checkpoint, "checkpoint")
        with pytest.raises(ValueError, match="not a usable checkpoint"):
            faces.train_model(path, faces.TrainingOptions(steps=1, batch=4, workers=1))
    assert not (tmp_path / "harm").exists()
    with pytest.raises(FileNotFoundError, match="There is no checkpoint"):
        load_checkpoint(tmp_path)
