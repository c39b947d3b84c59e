"""How far the first order holds, against a curve in closed form."""

import pytest
import torch
from curved import SHAPE, Curved, basis_at, draw, noisy_at

from pullback_core.directions.linear_range import FARTHEST, linear_range
from pullback_core.directions.seen import SeenChange
from pullback_core.directions.strength import LEVELS, UNIT

LIMIT = 0.05
Z = draw(*SHAPE, seed=1)


@pytest.mark.parametrize("known", [True, False])
def test_the_end_of_the_range(known):
    denoiser = Curved(bend=0.5)
    basis = basis_at(denoiser, Z, known=known)
    foretold = (denoiser.slopes(Z) * basis.v).flatten(1).norm(dim=1)
    # The error of the first order after a length a is bend a^2 v^2.
    ends = LIMIT * foretold / (denoiser.bend * basis.v.square().flatten(1).norm(dim=1))
    seen = SeenChange(denoiser, noisy_at(Z), basis, levels=LEVELS)
    for column, sign in enumerate((-1.0, 1.0)):
        wanted = torch.tensor(seen.changes([(row, sign) for row in range(3)], ends.tolist())) / UNIT
        found = linear_range(denoiser, noisy_at(Z), basis, limit=LIMIT)[:, column]
        assert (ends < 0.9 * FARTHEST * UNIT * 24**0.5 / basis.s).all()
        torch.testing.assert_close(found, wanted, rtol=0.15, atol=0)


def test_a_straight_picture_is_followed_to_the_farthest_strength():
    rounds, denoiser = [], Curved(bend=0.0)
    basis = basis_at(denoiser, Z)
    found = linear_range(
        denoiser, noisy_at(Z), basis, progress=lambda done, total: rounds.append((done, total))
    )
    ends = (FARTHEST * UNIT * 24**0.5 / basis.s).tolist()
    seen = SeenChange(denoiser, noisy_at(Z), basis, levels=LEVELS)
    wanted = [seen.changes([(row, sign)], [ends[row]])[0] / UNIT for row in range(3) for sign in (-1.0, 1.0)]
    assert found.flatten().tolist() == pytest.approx(wanted, rel=1e-4)
    assert rounds == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
