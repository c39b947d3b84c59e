"""The text that tells a basis from others."""

from dataclasses import replace

import pytest
import torch
from curved import draw

from pullback_core import PullbackBasis
from pullback_core.directions.identity import basis_id, is_same_basis


def some_basis(u):
    rows = u / u.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return PullbackBasis(
        v=rows,
        s=torch.ones(len(u)),
        u=rows,
        residuals=torch.zeros(len(u)),
        products=1,
        converged=True,
        sigma=2.9389,
        timestep=0.5,
        provenance={"feature": "picture", "model": "0123"},
        kind="rotated",
    )


CHANGES = draw(5, 3, 16, 16, seed=4).float()
BASIS = some_basis(CHANGES)
ID = basis_id(BASIS)


def same(other):
    assert is_same_basis(basis_id(other), ID) == is_same_basis(ID, basis_id(other))
    return is_same_basis(ID, basis_id(other))


def test_a_basis_that_was_computed_again_is_the_same():
    assert ID == basis_id(BASIS)
    turned = CHANGES + 0.05 * draw(5, 3, 16, 16, seed=5).float()
    assert same(some_basis(turned)) and same(replace(BASIS, sigma=BASIS.sigma * 1.00001))
    assert same(replace(BASIS, s=2 * BASIS.s, notes="a note", names=list("abcde")))


@pytest.mark.parametrize(
    "other",
    [
        some_basis(CHANGES * torch.tensor([1, 1, -1, 1, 1]).view(-1, 1, 1, 1)),
        some_basis(CHANGES[[1, 0, 2, 3, 4]]),
        some_basis(CHANGES[:4]),
        some_basis(draw(5, 3, 16, 16, seed=6).float()),
        replace(BASIS, sigma=3.1),
        replace(BASIS, provenance={"feature": "picture", "model": "4567"}),
    ],
    ids=["sign", "order", "rank", "directions", "level", "model"],
)
def test_another_basis_is_told_apart(other):
    assert not same(other)


def test_directions_that_do_not_count_may_be_others():
    other = basis_id(some_basis(CHANGES * torch.tensor([1, 1, 1, 1, -1]).view(-1, 1, 1, 1)))
    assert not is_same_basis(ID, other) and is_same_basis(ID, other, range(4))
    assert not is_same_basis(ID, other, [0, 4]) and not is_same_basis(
        ID, basis_id(some_basis(CHANGES[:4])), [0]
    )


def test_texts_that_are_none_are_no_basis():
    for text in ("", "abc", "1|0123|picture|high|" + ID.split("|")[4], "|" * 4, ID[:-1] + "!"):
        assert not is_same_basis(text, ID)
    assert is_same_basis("abc", "abc")


def test_a_direction_that_changes_the_whole_picture_evenly_has_a_place():
    flat = torch.cat([torch.ones(1, 3, 16, 16), CHANGES])
    assert same(BASIS) and is_same_basis(basis_id(some_basis(flat)), basis_id(some_basis(flat)))
    assert not is_same_basis(basis_id(some_basis(flat)), basis_id(some_basis(CHANGES[[0, 0, 1, 2, 3, 4]])))
