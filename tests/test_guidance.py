"""x-space guidance with a linear denoiser, whose answer is known in closed form."""

import pytest
import torch

from pullback_core import Denoiser, NoisyLatent, PullbackBasis, VPSchedule, edit, edit_grid

SHAPE, SIGMA = (2, 3, 4), 1.5


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MATRIX = draw(24, 24, seed=7) / 5


class Linear(Denoiser):
    """eps(z) = MATRIX z + 1."""

    schedule, provenance = VPSchedule.scaled_linear(0.00085, 0.012), {}

    def denoise(self, x, sigma):
        z = self.schedule.to_network(x, sigma)
        return x - sigma * ((z.flatten(1) @ MATRIX.T).view(x.shape) + 1)

    def encode(self, x, sigma):
        raise AssertionError("An edit reads no features.")


def noisy_at(z):
    """z (b, c, h, w) in network coordinates as a noisy latent."""
    return NoisyLatent(Linear.schedule.from_network(z, SIGMA), torch.tensor([SIGMA, 0.0]))


def in_network_coordinates(noisy):
    return Linear.schedule.to_network(noisy.x, SIGMA)


def edited(z, direction, denoiser=None, **options):
    """The edit of z, both in network coordinates."""
    return in_network_coordinates(edit(denoiser or Linear(), noisy_at(z), direction, **options))


def grid(z, directions, strengths, **options):
    """The edits of z (c, h, w): (d, s, c, h, w) in network coordinates."""
    edits = edit_grid(Linear(), noisy_at(z.view(1, *SHAPE)), directions, strengths, **options)
    return in_network_coordinates(edits).unflatten(0, (-1, len(strengths)))


def unit(*shape, seed):
    v = draw(*shape, *SHAPE, seed=seed)
    return v / v.flatten(-3).norm(dim=-1)[..., None, None, None]


def push(v):
    return (MATRIX @ v.flatten()).view(SHAPE)


def test_every_repetition_adds_strength_times_the_change_of_noise():
    z, v = draw(3, *SHAPE), unit(seed=1)
    for count in range(5):
        moved = edited(z, v, strength=0.3, probe=0.5, steps=count)
        torch.testing.assert_close(moved, z + count * 0.3 * 0.5 * push(v))


def test_every_repetition_starts_from_the_newest_point():
    """For eps(z) = z^2 and a probe p, z + p/2 grows by the factor 1 + 2 * strength * p each time."""

    class Square(Linear):
        def denoise(self, x, sigma):
            return x - sigma * self.schedule.to_network(x, sigma) ** 2

    z, v = draw(1, *SHAPE), unit(seed=1)
    seen = []
    last = edit(Square(), noisy_at(z), v, strength=0.3, steps=5, progress=seen.append)
    assert len(seen) == 5 and torch.equal(seen[-1].x, last.x)
    for count, noisy in enumerate(seen, start=1):
        expected = (1 + 2 * 0.3 * v) ** count * (z + v / 2) - v / 2
        torch.testing.assert_close(in_network_coordinates(noisy), expected)


def test_an_edit_keeps_the_noise_levels_and_the_original():
    noisy = noisy_at(draw(1, *SHAPE))
    before = noisy.x.clone()
    moved = edit(Linear(), noisy, unit(seed=1), steps=2)
    assert moved.sigmas is noisy.sigmas and torch.equal(noisy.x, before)


def test_nothing_is_recorded_for_autograd():
    assert not edited(draw(1, *SHAPE).requires_grad_(), unit(seed=1), strength=0.3, steps=1).requires_grad


@pytest.mark.parametrize("options", [{"strength": 0.0}, {"strength": 1.0, "steps": 0}], ids=str)
def test_no_push_means_no_move(options):
    z = draw(2, *SHAPE)
    torch.testing.assert_close(edited(z, unit(seed=1), **options), z)


def test_a_negative_strength_goes_the_other_way():
    z, v = draw(1, *SHAPE), unit(seed=1)
    plus, minus = (edited(z, v, strength=strength) for strength in (0.3, -0.3))
    torch.testing.assert_close(plus + minus, 2 * z)
    torch.testing.assert_close(edited(z, -v, strength=0.3), minus)


def test_the_direction_is_made_unit_length():
    z, v = draw(1, *SHAPE), unit(seed=1)
    torch.testing.assert_close(*(edited(z, c * v, strength=0.3) for c in (1, 20)))


def test_samples_may_have_strengths_and_directions_of_their_own():
    z, v, strength = draw(3, *SHAPE), unit(3, seed=1), torch.tensor([0.5, 0.0, -1.0])
    result = edited(z, v, strength=strength, steps=2)
    for index in range(3):
        torch.testing.assert_close(result[index], z[index] + 2 * strength[index].item() * push(v[index]))


def test_a_mask_keeps_the_rest_still():
    noisy, mask = noisy_at(draw(1, *SHAPE)), torch.zeros(3, 4, dtype=torch.float64)
    mask[1, 2] = 1
    change = edit(Linear(), noisy, unit(seed=1), strength=0.5, steps=3, mask=mask).x - noisy.x
    assert change[..., 1, 2].abs().min() > 0 and change.mul(1 - mask).abs().max() < 1e-12


def basis_of(v, sigma=SIGMA):
    """A basis with these directions (d, c, h, w)."""
    rows = torch.eye(len(v), 8, dtype=v.dtype).unsqueeze(-1)
    values = torch.ones(len(v), dtype=v.dtype)
    return PullbackBasis(v, values, rows, 0 * values, 1, True, sigma, 0.5)


def test_a_basis_of_one_direction_is_a_direction():
    z, v = draw(1, *SHAPE), unit(2, seed=1)
    torch.testing.assert_close(
        edited(z, basis_of(v).select([1]), strength=0.3), edited(z, v[1], strength=0.3)
    )
    with pytest.raises(ValueError, match="one direction, got a basis of 2"):
        edited(z, basis_of(v))


@pytest.mark.parametrize("apply", [edited, lambda z, basis: grid(z, basis, [1.0])], ids=["edit", "grid"])
def test_a_basis_of_another_noise_level_is_refused(apply):
    v = unit(1, seed=1)
    apply(draw(1, *SHAPE), basis_of(v, 1.0005 * SIGMA))
    with pytest.raises(ValueError, match=r"noise level 3, and the noisy latent has level 1\.5"):
        apply(draw(1, *SHAPE), basis_of(v, 2 * SIGMA))


@pytest.mark.parametrize(
    "direction, message",
    [
        (draw(2, 3, 5), r"\(2, 3, 5\) does not fit.*\(1, 2, 3, 4\)"),
        (draw(4), "does not fit"),
        (torch.zeros(SHAPE), "zero"),
        (torch.zeros(1, *SHAPE), "zero"),
        (draw(3, *SHAPE), "does not fit"),
        (draw(*SHAPE) * float("nan"), "not finite"),
    ],
)
def test_unusable_directions_are_refused(direction, message):
    with pytest.raises(ValueError, match=message):
        edited(draw(1, *SHAPE), direction)


def test_the_number_of_strengths_must_fit():
    with pytest.raises(ValueError, match="each of the 2 samples, got 3"):
        edited(draw(2, *SHAPE), unit(seed=1), strength=torch.ones(3))


@pytest.mark.parametrize("batch_size, calls", [(None, 4), (4, 8), (1, 24)])
def test_a_grid_is_the_edits_one_by_one(batch_size, calls):
    z, directions, strengths, told = draw(*SHAPE), unit(2, seed=3), [-0.4, 0.1, 0.2], []
    edits = grid(
        z,
        directions,
        strengths,
        steps=4,
        batch_size=batch_size,
        progress=lambda *call: told.append(call),
    )
    assert edits.shape == (2, 3, *SHAPE) and told == [(count, calls) for count in range(1, calls + 1)]
    for row, direction in zip(edits, directions):
        for one, strength in zip(row, strengths):
            torch.testing.assert_close(one, edited(z[None], direction, strength=strength, steps=4)[0])


def test_a_quick_grid_lengthens_one_step():
    """Exact for a linear denoiser, whose steps are all alike; with one evaluation a direction and sign."""
    z, directions, strengths = draw(1, *SHAPE), unit(2, seed=3), [0.1, -0.4, 0.0, 0.2, -0.1]
    told = []
    quick = grid(z, directions, strengths, steps=4, quick=True, progress=lambda *call: told.append(call))
    torch.testing.assert_close(quick, grid(z, directions, strengths, steps=4))
    assert told == [(1, 1)]
    torch.testing.assert_close(quick[:, 2], z.expand(2, *SHAPE))


def test_a_grid_belongs_to_one_latent():
    with pytest.raises(ValueError, match="one noisy latent, got 2"):
        edit_grid(Linear(), noisy_at(draw(2, *SHAPE)), unit(2, seed=3), [1.0])
