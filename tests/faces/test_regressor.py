"""The regressor reads drawings, and its damaged files are refused."""

import json
import pickle

import pytest
import torch
from refusals import refused
from safetensors.torch import load_file, save_file

from pullback_core import faces


def test_damaged_regressors_are_refused(tmp_path):
    path, sound = (
        tmp_path / "regressor.safetensors",
        load_file(faces.WEIGHTS.with_name("regressor.safetensors")),
    )
    metadata = {"format": "pullback_faces_regressor", "names": json.dumps(faces.NAMES)}

    def check(reason, changes=None, **texts):
        save_file(sound | (changes or {}), path, metadata | texts)
        refused(path, reason, faces.load_regressor, "regressor")

    check("another format", format="pullback_faces")
    for names in ("null", "[]", "1", "{", json.dumps(faces.NAMES[::-1])):
        check("names|other parameters", names=names)
    check("not finite", {"error": torch.full((len(faces.NAMES),), float("nan"))})
    check("the shape", {"error": torch.zeros(3)})
    check("belong to no layer", {"more": torch.zeros(3)})
    check("of type int64", {"error": torch.zeros(len(faces.NAMES), dtype=torch.int64)})


def test_the_regressor_reads_drawings():
    regressor, truth = faces.load_regressor(), faces.sample_parameters(200, torch.Generator().manual_seed(5))
    error = (regressor(faces.draw_faces(truth)) - truth) / regressor.deviation
    for name in ("skin", "smile", "glasses", "hat", "beard", "yaw", "background_red", "eye_size"):
        assert error[:, faces.NAMES.index(name)].square().mean().sqrt() < 0.3, name


def test_files_of_something_else_are_refused(tmp_path):
    data = faces.WEIGHTS.with_name("regressor.safetensors").read_bytes()
    path = tmp_path / "other.safetensors"
    parts = data[:100], data[: len(data) // 2], data[:-1], faces.WEIGHTS.read_bytes()
    for content in (b"", b"\0" * 7, b"\0" * 100, b"\xff" * 100, b"text\n" * 100, pickle.dumps([1]), *parts):
        path.write_bytes(content)
        refused(path, "", faces.load_regressor, "regressor")
    with pytest.raises(FileNotFoundError, match="that is a folder"):
        faces.load_regressor(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no regressor file .*none'\."):
        faces.load_regressor(tmp_path / "none")
