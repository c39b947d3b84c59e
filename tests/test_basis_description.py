"""What a list of basis files needs to know of each, from its header alone."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pullback_core import PullbackBasis, basis_file, tensor_files
from pullback_core.basis_description import Description, read_description, read_thumbnail

OLD = Path(__file__).parent / "data" / "basis_0.1.safetensors"


@pytest.fixture
def described(tmp_path):
    """The path of a file whose basis has names, notes and a thumbnail."""
    basis = PullbackBasis.load(OLD)
    picture = torch.arange(2 * 3 * 3, dtype=torch.uint8).reshape(2, 3, 3)
    names = [f"name {number}" for number in range(basis.rank)]
    path = tmp_path / "described.safetensors"
    replace(basis, names=names, notes="of a face", thumbnail=picture).save(path)
    return path


def test_a_description_says_what_the_basis_says(described):
    basis = PullbackBasis.load(described)
    assert read_description(described) == Description(
        basis.kind, basis.names, "of a face", basis.rank, has_thumbnail=True
    )
    assert torch.equal(read_thumbnail(described), basis.thumbnail)


def test_a_file_of_version_0_1_has_neither_names_nor_a_thumbnail():
    basis = PullbackBasis.load(OLD)
    assert read_description(OLD) == Description("singular", [], "", basis.rank, has_thumbnail=False)
    assert read_thumbnail(OLD) is None


def test_no_tensor_is_read_for_a_description(described, monkeypatch):
    monkeypatch.setattr(basis_file, "read_tensors", None)
    monkeypatch.setattr(tensor_files, "safe_open", None)
    assert read_description(described).notes == "of a face"


def test_the_header_of_something_else_is_not_parsed(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_file({f"layer.{number}": torch.zeros(1) for number in range(50)}, path)
    monkeypatch.setattr(tensor_files, "read_json", None)
    with pytest.raises(ValueError, match=r"'weights\.safetensors' is not .* it holds something else"):
        read_description(path)


@pytest.mark.parametrize("read", [read_description, read_thumbnail])
def test_what_is_no_basis_is_refused_in_a_sentence(read, described, tmp_path):
    path = tmp_path / "broken.safetensors"
    for content in (b"", b"no basis", described.read_bytes()[:500]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"^'broken.safetensors' is not a usable pullback basis: .*\.$"):
            read(path)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none.safetensors")


def test_a_thumbnail_that_is_missing_behind_its_header_is_refused(described):
    described.write_bytes(described.read_bytes()[:-200])
    with pytest.raises(ValueError, match="not a sound safetensors file"):
        read_thumbnail(described)
