"""What a basis knows of its Jacobian, against a dense one."""

from dataclasses import replace

import pytest
import torch

from pullback_core.directions.known import as_singular, orthonormal_known
from pullback_core.directions.sums import weighted_sums
from tests.test_transport import basis, rows


def jacobian_of(one):
    return torch.einsum("ip,i,iq->pq", one.u.flatten(1), one.s, one.v.flatten(1))


def turned(one):
    return weighted_sums(one, torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]]), "mixed")


def test_known_vectors_are_orthonormal_and_have_their_products():
    one = basis(1)
    q, images = orthonormal_known(turned(one))
    torch.testing.assert_close(q @ q.T, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(images, q @ jacobian_of(one).T)


def test_vectors_that_depend_on_each_other_are_known_once():
    one = turned(basis(1))
    twice = replace(one, v=one.v[[0, 0, 1]], u=one.u[[0, 0, 1]], s=one.s[[0, 0, 1]])
    assert len(orthonormal_known(twice)[0]) == 2
    assert as_singular(twice).rank == 2


def test_the_triplets_within_a_span_are_those_of_the_search():
    one = basis(1)
    again = as_singular(turned(one))
    assert again.kind == "singular" and again.names == []
    torch.testing.assert_close(again.s, one.s)
    torch.testing.assert_close(jacobian_of(again), jacobian_of(one))
    gram = again.v.flatten(1) @ rows(3, 24, 1).T  # the same span
    torch.testing.assert_close(gram @ gram.T, torch.eye(3, dtype=torch.float64))


def test_a_basis_of_a_search_stays_what_it_is():
    one = basis(1)
    assert as_singular(one) is one


def test_directions_that_do_nothing_have_no_triplets():
    nothing = replace(turned(basis(1)), s=torch.zeros(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="do nothing"):
        as_singular(nothing)
