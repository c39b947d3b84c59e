"""The change of the picture by a move, measured by a short generation."""

import pytest
import torch
from curved import SHAPE, SIGMA, Curved, basis_at, draw, noisy_at

from pullback_core import NoisyLatent, ddim
from pullback_core.directions.moves import move
from pullback_core.directions.seen import SeenChange, short_way

Z = draw(*SHAPE, seed=1)
WAYS = [(0, 1.0), (1, -1.0), (2, 1.0)]
LENGTHS = [0.4, 0.9, 0.1]


def test_one_level_measures_the_predicted_picture():
    denoiser, noisy = Curved(), noisy_at(Z)
    basis = basis_at(denoiser, Z)
    signed = torch.tensor([sign * length for (_, sign), length in zip(WAYS, LENGTHS)])
    after = move(denoiser, noisy, basis.v, signed)
    wanted = denoiser.denoise(after.x, SIGMA) - denoiser.denoise(noisy.x, SIGMA)
    for size in (None, 2):
        found = SeenChange(denoiser, noisy, basis, batch_size=size).changes(WAYS, LENGTHS)
        assert found == pytest.approx(wanted.square().mean(dim=(1, 2, 3)).sqrt().tolist(), rel=1e-5)


def test_more_levels_measure_a_generation():
    denoiser, noisy = Curved(), noisy_at(Z)
    sigmas = denoiser.schedule.sigmas(3, start=denoiser.schedule.fraction(SIGMA))
    basis = basis_at(denoiser, Z, rank=1)
    ends = [
        ddim.generate(denoiser, NoisyLatent(one.x, sigmas))
        for one in (noisy, move(denoiser, noisy, basis, 0.4))
    ]
    found = SeenChange(denoiser, noisy, basis, levels=3).changes([(0, 1.0)], [0.4])
    assert found == pytest.approx([(ends[1] - ends[0]).square().mean().sqrt().item()], rel=1e-3)


def test_a_short_way_starts_at_the_level_of_the_latent():
    short = short_way(Curved.schedule, noisy_at(Z), 4)
    assert short.sigma == SIGMA and len(short.sigmas) == 5 and short.sigmas[-1] == 0
    assert torch.equal(short.x, noisy_at(Z).x)


def test_slopes_are_known_or_probed():
    denoiser = Curved()
    known = SeenChange(denoiser, noisy_at(Z), basis_at(denoiser, Z)).slopes()
    assert denoiser.evaluations == 0
    probed = SeenChange(denoiser, noisy_at(Z), basis_at(denoiser, Z, known=False)).slopes()
    assert denoiser.evaluations > 0
    assert probed == pytest.approx(known, rel=0.02)
    assert known == pytest.approx((basis_at(denoiser, Z).s / 24**0.5).tolist())


def test_the_mean_is_taken_inside_a_mask():
    denoiser, mask = Curved(bend=0.0), torch.zeros(3, 4)
    mask[0, :2] = 1
    basis = basis_at(denoiser, Z, rank=1)
    found = SeenChange(denoiser, noisy_at(Z), basis, mask).slopes()
    inside = basis.picture_changes()[0, :, 0, :2]
    assert found == pytest.approx([inside.square().mean().sqrt().item()], rel=1e-4)


def test_what_cannot_be_measured_is_refused():
    denoiser, basis = Curved(), basis_at(Curved(), Z)
    with pytest.raises(ValueError, match="one noisy latent, got 2"):
        SeenChange(denoiser, noisy_at(draw(2, *SHAPE)), basis)
    with pytest.raises(ValueError, match="mask is empty"):
        SeenChange(denoiser, noisy_at(Z), basis, torch.zeros(3, 4))

    class Blind(Curved):
        def denoise(self, x, sigma):
            return torch.zeros_like(x)

    with pytest.raises(ValueError, match="Direction 0 changes nothing"):
        SeenChange(Blind(), noisy_at(Z), basis.v).slopes()
