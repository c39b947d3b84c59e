"""Model files that are damaged, or made to do harm, are refused in a sentence before they take memory."""

import json
import os
import pickle
from dataclasses import asdict

import pytest
import torch
from refusals import refused
from safetensors.torch import load_file, save_file
from tiny_model import TINY

from pullback_core import faces


def test_the_file_is_small_and_half_precision():
    assert faces.WEIGHTS.stat().st_size <= 16 * 2**20
    assert {tensor.dtype for tensor in load_file(faces.WEIGHTS).values()} == {torch.float16}


@pytest.fixture
def write(tiny, tmp_path):
    """write(metadata, **weights) -> the path of a model file with these changes. None removes an entry."""
    faces.save_model(tiny, tmp_path / "sound.safetensors")
    sound = load_file(tmp_path / "sound.safetensors")

    def save(metadata=None, **weights):
        texts = {
            "format": "pullback_faces",
            "config": json.dumps(asdict(TINY)),
            "betas": "[0.00085, 0.0285]",
        } | (metadata or {})
        everything = {name: tensor for name, tensor in (sound | weights).items() if tensor is not None}
        save_file(
            everything,
            tmp_path / "model.safetensors",
            {name: text for name, text in texts.items() if text is not None},
        )
        return tmp_path / "model.safetensors"

    return save


def test_a_saved_model_loads_and_gives_the_same(tiny, tmp_path):
    faces.save_model(tiny, tmp_path / "model.safetensors")
    loaded = faces.load_model(tmp_path / "model.safetensors")
    assert all(
        torch.equal(one.half(), other.half())
        for one, other in zip(loaded.state_dict().values(), tiny.state_dict().values())
    )
    assert loaded.unet.config == TINY and loaded.betas == tiny.betas and not loaded.training


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_every_float_type_load(dtype, write):
    loaded = faces.load_model(
        write(**{"words.weight": torch.ones(faces.vocabulary.TOKEN_COUNT, 16).to(dtype)})
    )
    assert loaded.words.weight.dtype == torch.float32 and (loaded.words.weight == 1).all()


def config(**changes):
    return {
        "config": json.dumps(
            {name: value for name, value in (asdict(TINY) | changes).items() if value != "absent"}
        )
    }


@pytest.mark.parametrize(
    "metadata, reason",
    [
        *(
            ({"config": text}, "config")
            for text in ("1", "null", "[]", '"a"', "true", "{}", "", "{", "NaN", "[" * 100_000, "1e999")
        ),
        ({"config": None}, "config is not JSON"),
        ({"config": '{"in_channels": 1, "in_channels": 2}'}, "twice"),
        ({"format": None}, "another format"),
        ({"format": "pullback_basis"}, "another format"),
        (config(in_channels="absent"), "entries"),
        (config(extra=1), "entries"),
        (config(in_channels="27"), "in_channels"),
        (config(in_channels=27.0), "in_channels"),
        (config(in_channels=True), "in_channels"),
        (config(in_channels=None), "in_channels"),
        (config(in_channels=[27]), "in_channels"),
        (config(in_channels=0), "in_channels"),
        (config(in_channels=-27), "in_channels"),
        (config(channel_mult=2), "channel_mult"),
        (config(channel_mult=[]), "channel_mult"),
        (config(channel_mult=[1, "1"]), "channel_mult"),
        (config(channel_mult=[[1], [1]]), "channel_mult"),
        (config(channel_mult=[1, 1, 1]), "different lengths"),
        (config(channel_mult=[1, 0]), "channel_mult"),
        (config(num_head_channels=0), "num_head_channels"),
        (config(num_head_channels=33), "heads of 33"),
        (config(model_channels=33), ""),
        (config(transformer_depth=[0, -1]), "transformer_depth"),
        (config(model_channels=10**9), "model_channels"),
        (config(model_channels=10**400), "model_channels"),
        (config(model_channels=2**20), "the shape"),
        (config(model_channels=2**20, channel_mult=[2**20, 2**20]), ""),
        (config(context_dim=2**20), "the shape"),
        (config(num_res_blocks=[2**20, 1]), "more layers"),
        (config(transformer_depth=[0, 10**6]), "more layers"),
        (config(num_res_blocks=[2, 1]), "lacks the weights"),
        (config(transformer_depth=[0, 0]), "lacks the weights"),
        (config(model_channels=64), "the shape"),
        *(
            ({"betas": text}, "betas")
            for text in (
                "1",
                "null",
                "[]",
                "[0.1]",
                "[0.1, 0.2, 0.3]",
                "[NaN, 0.1]",
                "[0.1, Infinity]",
                "[0.2, 0.1]",
                "[0, 0.1]",
                "[-0.1, 0.1]",
                "[0.1, 1]",
                '["0.1", "0.2"]',
                "[true, true]",
                "{}",
                "",
            )
        ),
        ({"betas": None}, "betas"),
    ],
    ids=str,
)
def test_metadata_that_makes_no_model_is_refused(metadata, reason, write):
    refused(write(metadata), reason)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["words.weight", "model.diffusion_model.time_embed.0.bias"])
def test_weights_that_are_not_finite_are_refused(name, value, write, tiny):
    shape = tiny.words.weight.shape if name == "words.weight" else tiny.unet.time_embed[0].bias.shape
    weight = torch.zeros(shape)
    weight.view(-1)[-1] = value
    refused(write(**{name: weight}), "not finite")


def test_other_weights_are_refused(write):
    refused(write(**{"words.weight": None}), "lacks the weights words.weight")
    refused(write(surplus=torch.zeros(1)), "surplus belong to no layer")
    refused(write(**{"words.weight": torch.zeros(3, 16)}), "the shape")
    refused(
        write(**{"words.weight": torch.zeros(faces.vocabulary.TOKEN_COUNT, 16, dtype=torch.int32)}),
        "of type int32",
    )
    refused(
        write(**{"words.weight": torch.zeros(faces.vocabulary.TOKEN_COUNT, 16).to(torch.float8_e4m3fn)}),
        "of type float8",
    )
    refused(
        write(**{"words.weight": torch.full((faces.vocabulary.TOKEN_COUNT, 16), 1e300, dtype=torch.float64)}),
        "not finite",
    )


def test_sizes_are_refused_before_a_model_is_made(write, monkeypatch):
    def make(*_):
        raise AssertionError("memory was taken")

    monkeypatch.setattr("pullback_core.faces.model_file.FacesModel", make)
    monkeypatch.setattr("pullback_core.faces.model_file.read_weights", make)
    for changes in ({"model_channels": 2**19}, {"context_dim": 2**20}, {"num_res_blocks": [30, 30]}):
        refused(write(config(**changes)), "")


def test_files_of_something_else_are_refused(write, tmp_path):
    data = write().read_bytes()
    path = tmp_path / "other.safetensors"
    parts = data[:100], data[: len(data) // 2], data[:-1]
    for content in (b"", b"\0" * 7, b"\0" * 100, b"\xff" * 100, b"text\n" * 100, pickle.dumps([1]), *parts):
        path.write_bytes(content)
        refused(path, "")
        torch.save({"a": torch.zeros(1)}, path)
    refused(path, "")
    with pytest.raises(FileNotFoundError, match="that is a folder"):
        faces.load_model(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"There is no model file .*none'\."):
        faces.load_model(tmp_path / "none")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e6])  # 1e6 is beyond float16
def test_a_model_that_cannot_be_loaded_is_not_saved(value, tmp_path):
    model = faces.FacesModel(TINY).requires_grad_(False)
    model.words.weight[3, 2] = value
    with pytest.raises(
        ValueError,
        match=r"^This faces model cannot be saved: its weights words\.weight hold numbers that are not",
    ):
        faces.save_model(model, tmp_path / "model.safetensors")
    assert not os.listdir(tmp_path)


def test_a_saved_model_loads_and_a_foreign_file_is_refused(model, tmp_path):
    faces.save_model(model, tmp_path / "copy.safetensors")
    saved, shipped = load_file(tmp_path / "copy.safetensors"), load_file(faces.WEIGHTS)
    assert saved.keys() == shipped.keys() and all(torch.equal(saved[name], shipped[name]) for name in saved)
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors", {"format": "something"})
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.safetensors")
    save_file(
        {"a": torch.zeros(1)},
        tmp_path / "short.safetensors",
        {"format": "pullback_faces", "config": json.dumps({"in_channels": 27}), "betas": "[0.1, 0.2]"},
    )
    for name in ("other", "pickle", "short"):
        with pytest.raises(ValueError, match=f"{name}.*not a usable faces model"):
            faces.load_model(tmp_path / f"{name}.safetensors")
    with pytest.raises(FileNotFoundError, match="no model file"):
        faces.load_model(tmp_path / "none.safetensors")
