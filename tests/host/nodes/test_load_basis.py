"""Load Pullback Basis: files of the input and output folders, and no others."""

import os

from node_calls import equal_bases, refused


def test_the_list_of_files_names_those_of_both_folders(call, comfy_host, tiny, folders):
    call("PullbackSaveBasis", basis=tiny.basis, filename_prefix="a/b/face")
    tiny.basis.save(folders.input / "shared.safetensors")
    names = comfy_host.adapter.basis_files()
    assert names == ["shared.safetensors", "a/b/face_00001.safetensors [output]"]
    assert all(equal_bases(call("PullbackLoadBasis", file=name)[0], tiny.basis) for name in names)


def test_files_outside_the_folders_are_not_read(call, tiny, folders):
    outside = folders.outside / "secret.safetensors"
    tiny.basis.save(outside)
    (folders.input / "link.safetensors").symlink_to(outside)
    (folders.input / "folder").mkdir()
    ways = ("../secret.safetensors", "../secret.safetensors [output]", str(outside), "link.safetensors")
    for name in (*ways, "folder", "", "none.safetensors"):
        with refused("There is no basis file"):
            call("PullbackLoadBasis", file=name)


def test_a_file_of_something_else_is_refused(call, folders):
    (folders.input / "broken.safetensors").write_bytes(b"not a basis")
    with refused("'broken.safetensors' is not a usable pullback basis"):
        call("PullbackLoadBasis", file="broken.safetensors")


def test_a_changed_file_is_loaded_anew(comfy_host, tiny, folders):
    path = folders.input / "face.safetensors"
    tiny.basis.save(path)
    node = comfy_host.nodes["PullbackLoadBasis"]
    before = node.fingerprint_inputs(file="face.safetensors")
    os.utime(path, ns=(1, 1))
    assert node.fingerprint_inputs(file="face.safetensors") != before
