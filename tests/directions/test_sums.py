"""Weighted sums of directions against the products of a dense matrix."""

from dataclasses import replace

import pytest
import torch

from pullback_core import PullbackBasis
from pullback_core.directions.sums import mixed, sums_of_known, unit, weighted_sums
from pullback_core.linalg.svd import SearchSpace

RANK = 3
J = torch.randn(10, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
J0 = torch.randn(24, 24, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
WEIGHTS = torch.tensor([[1.0, 2.0, 0.0], [0.5, -1.0, 3.0]], dtype=torch.float64)


def basis(**changes):
    u, s, v = (part.T if part.ndim == 2 else part for part in torch.linalg.svd(J, full_matrices=False))
    v = v.T[:RANK]
    made = PullbackBasis(
        v=v.view(-1, 2, 3, 4),
        s=s[:RANK],
        u=u[:RANK].view(-1, 5, 2),
        residuals=torch.tensor([0.0, 0.01, 0.02], dtype=torch.float64),
        products=5,
        converged=True,
        sigma=1.0,
        timestep=0.5,
        provenance={"feature": "middle"},
        names=["a", "b", "c"],
        pictures=(v @ J0.T).view(-1, 2, 3, 4),
    )
    return replace(made, **changes)


def space():
    q = torch.linalg.qr(torch.randn(24, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64))[
        0
    ].T
    images = q @ J.T / 4
    return SearchSpace(q.contiguous(), images, images @ J / 4, 4.0)


def test_sums_do_what_u_s_and_pictures_say():
    sums = weighted_sums(basis(), WEIGHTS, "mixed")
    torch.testing.assert_close(sums.v.flatten(1), unit(WEIGHTS @ basis().v.flatten(1)))
    torch.testing.assert_close(sums.v.flatten(1) @ J.T, sums.s[:, None] * sums.u.flatten(1))
    torch.testing.assert_close(sums.v.flatten(1) @ J0.T, sums.pictures.flatten(1))
    assert sums.kind == "mixed" and sums.rank == 2 and sums.names == []
    assert (sums.residuals <= 0.02).all() and sums.residuals[1] > sums.residuals[0]


def test_the_length_of_weights_does_not_matter():
    one, other = (weighted_sums(basis(), factor * WEIGHTS, "mixed") for factor in (1, 7))
    torch.testing.assert_close(one.v, other.v)
    torch.testing.assert_close(one.s, other.s)


def test_sums_of_a_search_space_reach_further_than_the_basis():
    known = basis(search_space=space())
    weights = torch.randn(2, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    sums = sums_of_known(known, weights, "masked")
    torch.testing.assert_close(sums.v.flatten(1), unit(weights @ space().q))
    torch.testing.assert_close(sums.v.flatten(1) @ J.T, sums.s[:, None] * sums.u.flatten(1))
    assert sums.pictures is None and sums.search_space is known.search_space
    without = sums_of_known(basis(), WEIGHTS, "masked")
    torch.testing.assert_close(without.v, weighted_sums(basis(), WEIGHTS, "masked").v)


def test_sums_keep_the_type_of_the_tensors():
    rows = torch.ones(RANK, 2, 2)
    assert mixed(WEIGHTS, rows).dtype == torch.float32 and mixed(WEIGHTS, rows).shape == (2, 2, 2)
    assert not unit(torch.zeros(1, 4)).any()


@pytest.mark.parametrize("weights", [torch.ones(RANK), torch.ones(1, 2), torch.ones(0, RANK)])
def test_weights_of_another_shape_are_refused(weights):
    with pytest.raises(ValueError, match=r"have the shape \(sums, 3 directions\)"):
        weighted_sums(basis(), weights, "mixed")


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_a_sum_that_is_no_direction_is_refused(value):
    with pytest.raises(ValueError, match="zero or not finite"):
        weighted_sums(basis(), torch.full((1, RANK), value), "mixed")
