"""Settings of a board as files of the library."""

import json

import numpy as np
import pytest
import torch
from boards import StandInCLIP
from node_calls import refused


@pytest.fixture
def kept(case, comfy_host, folders, alone):
    """kept(name, mix, words): the name of the file and its basis, of a board that ran with words."""
    clip = StandInCLIP()
    payload = case.run(words="joy", clip=clip).payload

    def state(mix, words=None):
        return json.dumps({"version": 1, "basis": payload["id"], "mix": mix, "words": words or {}})

    def keep(name, *setting):
        file = comfy_host.adapter.keep_setting("7", state(*setting), name)
        return file, comfy_host.core.PullbackBasis.load(comfy_host.adapter.basis_path(file))

    keep.run = lambda *setting: case.run(words="joy", clip=clip, state=state(*setting))
    return keep


def test_a_setting_becomes_a_file_that_can_be_chosen(kept, comfy_host):
    file, basis = kept("my smile", [0.5, 0.0], {"joy": 1})
    assert file == "pullback/library/my smile_00001.safetensors [output]"
    assert file in comfy_host.adapter.basis_files()
    assert basis.names == ["my smile"] and basis.rank == 1 and basis.kind == "mixed"
    assert basis.notes.startswith("strength ") and basis.notes.endswith("0.5 direction 1 + joy")
    assert basis.thumbnail is not None and basis.thumbnail.shape == (8, 8, 3)
    again, _ = kept("my smile", [0.5, 0.0])
    assert again == "pullback/library/my smile_00002.safetensors [output]"


def test_the_direction_is_that_of_the_node(kept):
    made = kept.run([0.5, -0.2])
    _, basis = kept("", [0.5, -0.2])
    assert torch.equal(basis.v, made.direction.v) and basis.names == made.direction.names


def test_the_thumbnail_is_the_true_picture_if_it_was_made_of_this_setting(kept):
    made = kept.run([0.5, 0.0])
    true = np.rint(255 * made.image[0].numpy())
    _, basis = kept("a", [0.5, 0.0])
    assert np.abs(basis.thumbnail.numpy() - true).max() <= 1
    _, other = kept("b", [-0.5, 0.0])
    assert np.abs(other.thumbnail.numpy() - true).max() > 5


@pytest.mark.parametrize(
    "name", ["../../out", "/etc/x", "a\0b", "..", "???", "x" * 500, "nul:\\%date%", "%year%"]
)
def test_no_name_leads_out_of_the_library(kept, folders, name):
    file, _ = kept(name, [0.5, 0.0])
    path = (folders.output / file.removesuffix(" [output]")).resolve()
    assert path.parent == (folders.output / "pullback/library").resolve() and path.is_file()
    assert len(path.name) < 100 and "%" not in path.name


def test_what_cannot_be_kept_is_refused(kept, comfy_host, case):
    keep = comfy_host.adapter.keep_setting
    with refused("has not run since ComfyUI started"):
        keep("8", "", "")
    with refused("Nothing is set on the board"):
        keep("7", "", "a name")
    with refused("not JSON"):
        keep("7", "{", "a name")
    with refused("no direction for hope"):
        kept("x", [0.0, 0.0], {"hope": 1.0})
