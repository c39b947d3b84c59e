"""A basis and the rest of what its search learned."""

from dataclasses import replace

import pytest
import torch
from curved import SHAPE, Curved, draw, noisy_at

from pullback_core import local_basis
from pullback_core.directions.rotation import rotated_basis
from pullback_core.directions.widening import wide_basis

Z = draw(*SHAPE, seed=1)


@pytest.fixture(scope="module")
def basis():
    found = local_basis(Curved(), noisy_at(Z), 3, tolerance=0.3, seed=0, keep_space=True)
    assert len(found.search_space.q) > 4
    return rotated_basis(found)


def test_directions_come_first_and_the_rest_is_orthogonal_to_them(basis):
    wide = wide_basis(replace(basis, names=["a", "", "c"]))
    assert wide.rank == len(basis.search_space.q) and wide.search_space is None
    assert torch.equal(wide.v[:3], basis.v) and wide.names[:4] == ["a", "", "c", ""]
    rows, rest = wide.v.flatten(1), wide.v[3:].flatten(1)
    torch.testing.assert_close(rest @ rest.T, torch.eye(len(rest), dtype=rest.dtype), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        rest @ rows[:3].T, torch.zeros(len(rest), 3, dtype=rest.dtype), rtol=0, atol=1e-5
    )
    assert (wide.s[3:].diff() <= 0).all()


def test_what_it_knows_is_true(basis):
    wide = wide_basis(basis)
    changes = Curved().slopes(Z) * wide.v
    torch.testing.assert_close(wide.picture_changes(), changes, rtol=1e-4, atol=1e-5)
    assert (changes[3:].pow(3).sum(dim=(1, 2, 3)) >= 0).all()


def test_it_knows_all_that_was_known(basis):
    q, _ = basis.known_products()
    wide = wide_basis(basis).v.flatten(1)
    inside = q.flatten(1) @ torch.linalg.pinv(wide) @ wide
    torch.testing.assert_close(inside, q.flatten(1), rtol=0, atol=1e-4)


def test_without_a_search_space_there_is_no_rest(basis):
    plain = replace(basis, search_space=None)
    assert wide_basis(plain).rank == 3 and torch.equal(wide_basis(plain).v, basis.v)
    of_block = replace(basis, pictures=basis.picture_changes(), provenance={"feature": "middle"})
    assert wide_basis(of_block).rank == 3 and wide_basis(of_block).search_space is None


def test_where_the_directions_are_all_that_is_known_there_is_no_rest(basis):
    count = len(basis.search_space.q)
    everything = local_basis(Curved(), noisy_at(Z), 24, tolerance=0.3, seed=0, keep_space=True)
    assert len(everything.search_space.q) == 24 > count and wide_basis(everything).rank == 24
