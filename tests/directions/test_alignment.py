"""The alignment: 1 for the same picture, less for changes, responses and pictures that differ."""

from dataclasses import replace

import pytest
import torch

from pullback_core import PullbackBasis
from pullback_core.directions.alignment import FAIR_ALIGNMENT, GOOD_ALIGNMENT, alignment, describe_alignment

SHAPE = (2, 6, 6)


def orthonormal(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(72, count, generator=generator))[0].T.reshape(count, *SHAPE)


def make(u, seed=0, predicted=None):
    count = len(u)
    return PullbackBasis(
        v=orthonormal(count, seed),
        s=torch.linspace(2, 1, count),
        u=u,
        residuals=torch.zeros(count),
        products=0,
        converged=True,
        sigma=1.0,
        timestep=0.5,
        predicted=predicted,
    )


def patch(top, seed=None):
    """A change in the rows from `top` on: of one colour, or with a pattern."""
    change = torch.zeros(SHAPE)
    pattern = torch.ones(2, 2, 6)
    if seed is not None:
        pattern = torch.randn(2, 2, 6, generator=torch.Generator().manual_seed(seed))
    change[:, top : top + 2] = pattern
    return change / change.norm()


def test_the_same_change_of_the_same_picture_is_1_and_another_change_is_less():
    basis = make(patch(0)[None], predicted=torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)))
    assert alignment(0, basis, basis, basis.u[0]) == pytest.approx(1)
    assert alignment(0, basis, basis, patch(0, seed=3)) < 0.5
    assert alignment(0, basis, basis, patch(3)) == 0
    assert alignment(0, basis, basis, -basis.u[0]) == 0


def test_a_form_needs_a_picture_that_is_alike_there_and_a_plain_colour_does_not():
    picture = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    elsewhere = picture.clone()
    elsewhere[:, 3:] *= -1  # differs only where the direction does nothing
    other = picture.roll(1, 2)
    for change, lowered in ((patch(0, seed=3), True), (patch(0), False)):
        source = make(change[None], predicted=picture)
        assert alignment(0, source, replace(source, predicted=elsewhere), change) == pytest.approx(1)
        low = alignment(0, source, replace(source, predicted=other), change)
        assert (low < 0.6) == lowered
        assert alignment(0, source, replace(source, predicted=None), change) == pytest.approx(1)


def test_responses_are_compared_where_both_bases_know_enough():
    one, other = make(orthonormal(8, 1)), make(orthonormal(8, 2), seed=3)
    assert alignment(0, one, one, one.u[0]) == pytest.approx(1)
    assert alignment(0, one, other, one.u[0]) < 0.8
    assert alignment(0, one, other.select([0, 1]), one.u[0]) == pytest.approx(1)


def test_features_without_regions_are_compared_as_a_whole():
    flat = replace(make(orthonormal(1, 1)), u=torch.eye(5)[:1])
    assert alignment(0, flat, flat, torch.eye(5)[0]) == pytest.approx(1)
    assert alignment(0, flat, flat, torch.ones(5)) == pytest.approx(5**-0.5)


def test_words():
    assert describe_alignment(GOOD_ALIGNMENT) == "carries over well"
    assert describe_alignment(FAIR_ALIGNMENT) == "carries over partly"
    assert describe_alignment(FAIR_ALIGNMENT - 0.01) == "does not carry over"
    assert "does not tell" in describe_alignment(1.0, "middle")
