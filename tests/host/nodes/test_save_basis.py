"""Save Pullback Basis: numbered files in the output folder, and nowhere else."""

import os

import pytest
from node_calls import equal_bases, refused


def test_a_saved_basis_loads_as_it_was(call, tiny, folders):
    assert call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="pullback/basis") == ()
    (loaded,) = call("PullbackLoadBasis", file="pullback/basis_00001.safetensors [output]")
    assert equal_bases(loaded, tiny.basis)
    assert {**vars(loaded), **dict.fromkeys("vsu"), "residuals": 0} == {
        **vars(tiny.basis),
        **dict.fromkeys("vsu"),
        "residuals": 0,
    }


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
