"""Strength in units of what is seen."""

import pytest
import torch
from curved import SHAPE, SIGMA, Curved, basis_at, draw, noisy_at

from pullback_core import ddim
from pullback_core.directions.strength import CLOSE, UNIT, calibrated_lengths, edit_by

Z = draw(*SHAPE, seed=1)
STRENGTHS = [-2.0, 0.0, 1.0, 3.0]


def predicted_changes(denoiser, edits):
    change = denoiser.denoise(edits.x, SIGMA) - denoiser.denoise(noisy_at(Z).x, SIGMA)
    return change.square().mean(dim=(1, 2, 3)).sqrt()


def test_strength_one_is_one_change_for_every_direction():
    denoiser = Curved(bend=0.3)
    found = calibrated_lengths(denoiser, noisy_at(Z), basis_at(denoiser, Z), STRENGTHS, levels=1)
    wanted = torch.tensor(STRENGTHS).expand(3, -1)
    torch.testing.assert_close(found.reached, wanted, rtol=CLOSE, atol=0)
    assert (found.lengths.sign() == wanted.sign()).all()
    edits = edit_by(denoiser, noisy_at(Z), basis_at(denoiser, Z), STRENGTHS, levels=1)
    changes = predicted_changes(denoiser, edits).view(3, -1)
    torch.testing.assert_close(changes.float(), UNIT * wanted.abs(), rtol=CLOSE, atol=1e-9)
    assert edits.sigma == SIGMA and edits.x.dtype == torch.float64


def test_the_finished_picture_changes_by_the_unit():
    denoiser = Curved(bend=0.1)
    edits = edit_by(denoiser, noisy_at(Z), basis_at(denoiser, Z).v, [1.0], levels=2)
    sigmas = denoiser.schedule.sigmas(2, start=denoiser.schedule.fraction(SIGMA))
    for edit in edits.x:
        ends = [ddim.generate(denoiser, type(edits)(x, sigmas)) for x in (edit[None], noisy_at(Z).x)]
        assert (ends[0] - ends[1]).square().mean().sqrt() == pytest.approx(UNIT, rel=2 * CLOSE)


def test_a_straight_picture_is_measured_once():
    denoiser, rounds = Curved(bend=0.0), []
    found = calibrated_lengths(
        denoiser,
        noisy_at(Z),
        basis_at(denoiser, Z),
        [1.0, 2.0],
        levels=1,
        batch_size=4,
        progress=lambda done, total: rounds.append((done, total)),
    )
    slopes = basis_at(denoiser, Z).s / 24**0.5
    torch.testing.assert_close(found.lengths[:, 0], (UNIT / slopes).float())
    assert denoiser.evaluations == 1 + 3 * 2
    assert rounds == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_a_jump_leaves_out_is_told():
    class Jumping(Curved):
        def denoise(self, x, sigma):
            picture = super().denoise(x, sigma)
            jumps = picture.sum(dim=(1, 2, 3), keepdim=True) > still + 1.5
            return picture + 10 * jumps

    still = Curved(bend=0.0).denoise(noisy_at(Z).x, SIGMA).sum()
    v = torch.ones(1, *SHAPE, dtype=torch.float64)
    found = calibrated_lengths(Jumping(bend=0.0), noisy_at(Z), v, [-1.0, 1.0], levels=1)
    assert found.reached[0, 0] == pytest.approx(-1, rel=CLOSE)
    assert found.reached[0, 1] < 0.5


def test_a_mask_limits_the_edit_and_the_mean():
    denoiser, mask = Curved(bend=0.0), torch.zeros(3, 4)
    mask[0, :2] = 1
    edits = edit_by(denoiser, noisy_at(Z), basis_at(denoiser, Z), [1.0], mask=mask, levels=1)
    change = denoiser.denoise(edits.x, SIGMA) - denoiser.denoise(noisy_at(Z).x, SIGMA)
    assert (change * (1 - mask)).abs().max() < 1e-9
    inside = change[..., 0, :2].square().flatten(1).mean(dim=1).sqrt()
    torch.testing.assert_close(inside, torch.full_like(inside, UNIT), rtol=CLOSE, atol=0)


def test_what_makes_no_sense_is_refused():
    basis = basis_at(Curved(), Z)
    with pytest.raises(ValueError, match="at least one round"):
        calibrated_lengths(Curved(), noisy_at(Z), basis, [1.0], rounds=0)
    with pytest.raises(ValueError, match="finite numbers"):
        calibrated_lengths(Curved(), noisy_at(Z), basis, [float("nan")])
