"""The list of basis files: only bases, quickly, and never an error because of one file."""

import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def basis(comfy_host):
    """A basis that version 0.1 saved."""
    return comfy_host.core.PullbackBasis.load(Path(__file__).parents[1] / "data" / "basis_0.1.safetensors")


@pytest.fixture
def library(comfy_host, folders):
    """library(): the entries of the list by file."""
    return lambda: {entry["file"]: entry for entry in comfy_host.adapter.library_entries()}


@pytest.fixture
def smile(basis, folders):
    """A basis of one named direction with a thumbnail, in the library."""
    one = basis.select([0])
    picture = torch.zeros(4, 6, 3, dtype=torch.uint8)
    picture[:, :, 0] = 200
    path = folders.output / "pullback" / "library" / "smile_00001.safetensors"
    path.parent.mkdir(parents=True)
    replace(one, names=["a smile"], notes="n" * 9000, thumbnail=picture).save(path)
    return "pullback/library/smile_00001.safetensors [output]"


def test_the_list_says_what_the_files_say(library, smile, basis, folders):
    basis.save(folders.input / "shared.safetensors")
    entries = library()
    assert set(entries) == {smile, "shared.safetensors"}
    found = entries[smile]
    assert found["name"] == "a smile" and found["names"] == ["a smile"]
    assert found["rank"] == 1 and found["thumbnail"] is True
    assert 0 < len(found["notes"]) < 1000
    other = entries["shared.safetensors"]
    assert other["name"] == "shared" and other["names"] == [] and other["thumbnail"] is False
    assert other["rank"] == basis.rank and other["kind"] == basis.kind


def test_other_and_broken_files_are_left_out(library, comfy_host, smile, folders):
    save_file({"weight": torch.zeros(3)}, folders.input / "model.safetensors")
    save_file({"weight": torch.zeros(3)}, folders.input / "liar.safetensors", {"format": "pullback_basis"})
    for name, content in {"empty": b"", "noise": os.urandom(5000), "huge": b"\xff" * 8}.items():
        (folders.output / f"{name}.safetensors").write_bytes(content)
    (folders.output / "lost.safetensors").symlink_to(folders.output / "nowhere")
    (folders.output / "folder.safetensors").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(folders.output / "pipe.safetensors")
    assert list(library()) == [smile] == comfy_host.adapter.basis_files()


def test_the_newest_file_comes_first(comfy_host, basis, folders):
    for age, name in enumerate(["new", "middle", "old"]):
        path = folders.input / f"{name}.safetensors"
        basis.save(path)
        os.utime(path, ns=(10**18 - age, 10**18 - age))
    assert [entry["name"] for entry in comfy_host.adapter.library_entries()] == ["new", "middle", "old"]


def test_a_file_is_read_once_and_again_after_a_change(
    library, smile, basis, folders, monkeypatch, comfy_host
):
    module = sys.modules[f"{comfy_host.adapter.__name__}.library"]
    plain, reads = module.read_description, []
    monkeypatch.setattr(module, "read_description", lambda path: reads.append(path) or plain(path))
    monkeypatch.setattr(module, "_known", {})
    before, again = library(), library()
    assert before == again and len(reads) == 1
    path = folders.output / smile.removesuffix(" [output]")
    basis.save(path)
    os.utime(path, ns=(5, 5))
    assert library()[smile]["rank"] == basis.rank and len(reads) == 2
    path.unlink()
    assert library() == {} and module._known == {}


def test_a_thumbnail_is_a_png(comfy_host, smile):
    with Image.open(io.BytesIO(comfy_host.adapter.library_thumbnail(smile))) as picture:
        assert picture.format == "PNG" and picture.size == (6, 4)
        assert picture.getpixel((0, 0)) == (200, 0, 0)


def test_thumbnails_of_other_files_are_refused(comfy_host, basis, folders):
    basis.save(folders.input / "plain.safetensors")
    basis.save(folders.outside / "secret.safetensors")
    assert comfy_host.adapter.library_thumbnail("plain.safetensors") is None
    for name in ("../secret.safetensors", str(folders.outside / "secret.safetensors"), "", "a\0b"):
        with pytest.raises(ValueError, match="There is no basis file"):
            comfy_host.adapter.library_thumbnail(name)
