"""Save Pullback Basis: numbered files in the output folder, and nowhere else."""

import os

import pytest
import torch
from node_calls import equal_bases, refused


def test_a_saved_basis_loads_as_it_was(call, tiny, folders):
    assert call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="pullback/basis") == ()
    loaded, names, notes = call("PullbackLoadBasis", file="pullback/basis_00001.safetensors [output]")
    assert equal_bases(loaded, tiny.basis) and (names, notes) == ("", "")
    assert {**vars(loaded), **dict.fromkeys("vsu"), "residuals": 0} == {
        **vars(tiny.basis),
        **dict.fromkeys("vsu"),
        "residuals": 0,
    }


def test_names_notes_and_a_thumbnail_go_along(call, comfy_host, tiny, folders):
    picture = torch.linspace(0, 1, 3).expand(2, 300, 600, 3)
    described = {"names": "smile\n\n", "notes": " found at night\n", "thumbnail": picture}
    call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="face", **described)
    node = comfy_host.nodes["PullbackLoadBasis"]
    with torch.inference_mode():
        answer = node.execute(file="face_00001.safetensors [output]")
    loaded, names, notes = answer.args
    assert loaded.names == ["smile", "", ""] and names == "smile\n\n"
    assert loaded.notes == notes == "found at night"
    assert loaded.thumbnail.shape == (128, 256, 3) and loaded.thumbnail[0, 0].tolist() == [0, 128, 255]
    assert len(answer.ui.as_dict()["images"]) == 1
    call("PullbackSaveBasis", basis=loaded, filename_prefix="again", names=names, notes="")
    again, *_ = call("PullbackLoadBasis", file="again_00001.safetensors [output]")
    assert (again.names, again.notes) == (loaded.names, loaded.notes)
    assert torch.equal(again.thumbnail, loaded.thumbnail)


def test_too_many_names_are_refused(call, tiny, folders):
    with refused("has 3 directions and got 4 names"):
        call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="face", names="a\nb\nc\nd")


def test_files_are_numbered_and_never_overwritten(call, tiny, folders):
    for _ in range(3):
        call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="face")
    assert sorted(os.listdir(folders.output)) == [f"face_{number:05}.safetensors" for number in (1, 2, 3)]


@pytest.mark.parametrize("prefix", ["../x", "a/../../x", "..", "", ".", "/", "a/.."])
def test_prefixes_that_lead_out_of_the_output_folder_are_refused(call, tiny, folders, prefix):
    with refused("give a plain name like"):
        call("PullbackSaveBasis", basis=tiny.basis, filename_prefix=prefix)
    assert not list(folders.outside.rglob("*.safetensors"))


def test_an_absolute_prefix_stays_in_the_output_folder(call, tiny, folders):
    call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="/etc/basis")
    assert (folders.output / "etc" / "basis_00001.safetensors").is_file()


def test_a_link_in_the_output_folder_does_not_lead_out_of_it(call, tiny, folders):
    (folders.outside / "elsewhere").mkdir()
    (folders.output / "link").symlink_to(folders.outside / "elsewhere")
    with refused("leads out of the output folder"):
        call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="link/basis")
    assert not os.listdir(folders.outside / "elsewhere")
