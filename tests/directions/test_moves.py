"""Straight moves in network coordinates."""

from dataclasses import replace

import pytest
import torch
from curved import SHAPE, Curved, basis_at, draw, noisy_at

from pullback_core.directions.moves import move

Z = draw(*SHAPE, seed=1)


def moved(direction, length, z=Z, **options):
    result = move(Curved(), noisy_at(z), direction, length, **options)
    return result.x / Curved.schedule.scale(result.sigma)


def test_a_move_is_straight_and_of_its_length():
    v = draw(*SHAPE, seed=2)
    torch.testing.assert_close(moved(5 * v, -1.5), (Z - 1.5 * v / v.norm())[None])
    basis = basis_at(Curved(), Z, rank=1)
    torch.testing.assert_close(moved(basis, 2.0), Z + 2 * basis.v)


def test_one_latent_is_moved_in_many_ways():
    v = basis_at(Curved(), Z).v
    lengths = torch.tensor([1.0, -2.0, 0.5])
    torch.testing.assert_close(moved(v, lengths), Z + lengths.double().view(-1, 1, 1, 1) * v)
    torch.testing.assert_close(moved(v[0], lengths), Z + lengths.double().view(-1, 1, 1, 1) * v[0])
    torch.testing.assert_close(moved(v, 0.7), Z + 0.7 * v)


def test_each_latent_of_a_batch_has_its_move():
    batch = draw(2, *SHAPE, seed=5)
    v = basis_at(Curved(), Z, rank=2).v
    torch.testing.assert_close(moved(v, 1.0, z=batch), batch + v)


def test_a_mask_holds_the_rest():
    mask = torch.zeros(3, 4)
    mask[1] = 1
    v = draw(*SHAPE, seed=2)
    torch.testing.assert_close(moved(v, 1.0, mask=mask), (Z + mask * v / v.norm())[None])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="one length, or one for each of the 2"):
        moved(draw(*SHAPE), torch.ones(3), z=draw(2, *SHAPE))
    with pytest.raises(ValueError, match="nowhere to go"):
        moved(torch.zeros(SHAPE), 1.0)
    basis = basis_at(Curved(), Z, rank=1)
    with pytest.raises(ValueError, match="noise level"):
        moved(replace(basis, sigma=3.0), 1.0)
