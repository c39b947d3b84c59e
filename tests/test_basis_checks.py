"""Bases of every kind in a file: names, notes, a thumbnail, pictures and a search space."""

from dataclasses import replace

import pytest
import torch

from pullback_core import PullbackBasis, local_basis
from pullback_core.linalg.svd import SearchSpace
from tests.test_basis import Toy, noisy_at, point
from tests.test_basis_file import assert_same, make, orthonormal, refused, write

FULL = {
    "kind": "rotated",
    "names": ["hair", "", "\u00e9t\u00e9"],
    "notes": "Two lines\nof notes.",
    "thumbnail": torch.arange(2 * 5 * 3, dtype=torch.uint8).view(2, 5, 3),
}


def full():
    """A basis with every optional part, whose directions are not orthogonal to each other."""
    basis = make()
    v = basis.v + 0.5 * basis.v.roll(1, 0)
    space = SearchSpace(
        orthonormal(4, 24, seed=2), torch.ones(4, 30), torch.arange(96.0).view(4, 24), scale=0.25
    )
    return replace(
        basis,
        v=v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1),
        s=torch.tensor([1.0, 3.0, 2.0]),
        pictures=torch.randn(basis.v.shape),
        predicted=torch.randn(basis.v.shape[1:]),
        search_space=space,
        **FULL,
    )


def test_every_optional_part_comes_back(tmp_path):
    basis = full()
    basis.save(tmp_path / "full.safetensors")
    loaded = PullbackBasis.load(tmp_path / "full.safetensors")
    assert all(torch.equal(*rows) for rows in zip(loaded.search_space[:3], basis.search_space[:3]))
    assert loaded.search_space.scale == basis.search_space.scale
    assert_same(replace(loaded, search_space=None), replace(basis, search_space=None))


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"names": ["one", "two"]}, "2 names for 3 directions"),
        ({"names": ["a", "b", 3]}, "names hold something other than text"),
        ({"notes": "n" * 10_001}, "more than 10000 characters"),
        ({"kind": "k" * 10_001}, "more than 10000 characters"),
        ({"space_scale": -1.0}, "scale of its search space"),
        ({"space_scale": 0.0}, "search space is not whole"),
    ],
)
def test_a_false_header_is_refused(tmp_path, changes, reason):
    path = tmp_path / "full.safetensors"
    header = {"kind": "rotated", "space_scale": 0.25} | changes
    space = dict(zip(("space_q", "space_images", "space_returns"), full().search_space[:3]))
    refused(write(path, full(), header, **space), reason)


@pytest.mark.parametrize(
    "tensors, reason",
    [
        ({"pictures": torch.zeros(2, 4, 3, 2)}, "its pictures have the shape"),
        ({"pictures": torch.full((3, 4, 3, 2), torch.nan)}, "its pictures holds numbers that are not finite"),
        ({"pictures": torch.zeros(3, 4, 3, 2, dtype=torch.int32)}, "its pictures is of type int32"),
        ({"predicted": torch.zeros(3, 2, 4)}, "its predicted picture has the shape"),
        ({"predicted": torch.full((4, 3, 2), torch.nan)}, "its predicted holds numbers that are not finite"),
        ({"thumbnail": torch.zeros(2, 5, 3)}, "no small picture"),
        ({"thumbnail": torch.zeros(2, 500, 3, dtype=torch.uint8)}, "no small picture"),
        ({"thumbnail": torch.zeros(2, 5, 4, dtype=torch.uint8)}, "no small picture"),
        ({"space_q": torch.eye(24)[:4]}, "search space is not whole"),
        ({"v": 2 * make().v}, "not of unit length"),
        ({"s": torch.tensor([1.0, -1.0, 0.0])}, "responses are negative"),
    ],
)
def test_false_tensors_are_refused(tmp_path, tensors, reason):
    refused(write(tmp_path / "a.safetensors", make(), {"kind": "rotated"}, **tensors), reason)


def test_vectors_of_a_search_space_are_orthonormal(tmp_path):
    space = {
        "space_q": torch.ones(2, 24),
        "space_images": torch.ones(2, 30),
        "space_returns": torch.ones(2, 24),
    }
    refused(write(tmp_path / "a.safetensors", make(), {"space_scale": 1.0}, **space), "not orthonormal")


def test_a_singular_basis_must_be_orthonormal_and_another_kind_need_not(tmp_path):
    basis = replace(full(), search_space=None)
    basis.save(tmp_path / "rotated.safetensors")
    with pytest.raises(ValueError, match="do not descend"):
        replace(basis, kind="singular").save(tmp_path / "singular.safetensors")


def test_a_loaded_search_space_is_extended(tmp_path):
    denoiser, noisy = Toy(), noisy_at(point())
    local_basis(denoiser, noisy, 2, keep_space=True).save(tmp_path / "a.safetensors")
    start = PullbackBasis.load(tmp_path / "a.safetensors")
    assert start.search_space is not None
    more = local_basis(denoiser, noisy, 4, start=start)
    assert more.products < local_basis(denoiser, noisy, 4).products
