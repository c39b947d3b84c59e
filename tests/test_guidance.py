"""x-space guidance with a linear denoiser, whose answer is known in closed form."""

import pytest
import torch

from pullback_core import VPSchedule, edit_grid, x_space_guidance
from pullback_core.models.denoiser import predicted_noise

SHAPE, SIGMA = (2, 3, 4), 1.5


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


MATRIX = draw(24, 24, seed=7) / 5


class Linear:
    """eps(z) = MATRIX z + 1."""

    schedule, provenance = VPSchedule.scaled_linear(0.00085, 0.012), {}

    def denoise(self, x, sigma):
        z = self.schedule.to_network(x, sigma)
        return x - sigma * ((z.flatten(1) @ MATRIX.T).view(x.shape) + 1)


def unit(*shape, seed):
    v = draw(*shape, *SHAPE, seed=seed)
    return v / v.flatten(-3).norm(dim=-1)[..., None, None, None]


def push(v):
    return (MATRIX @ v.flatten()).view(SHAPE)


def test_the_denoiser_predicts_the_noise_it_claims():
    z = draw(2, *SHAPE)
    torch.testing.assert_close(
        predicted_noise(Linear(), z, SIGMA), (z.flatten(1) @ MATRIX.T).view(z.shape) + 1
    )


def test_every_repetition_adds_scale_times_the_change_of_noise():
    z, v = draw(3, *SHAPE), unit(seed=1)
    trajectory = x_space_guidance(Linear(), z, SIGMA, v, scale=0.3, step=0.5, steps=4)
    assert len(trajectory) == 5 and torch.equal(trajectory[0], z)
    for count, point in enumerate(trajectory):
        torch.testing.assert_close(point, z + count * 0.3 * 0.5 * push(v))


def test_every_repetition_starts_from_the_newest_point():
    """For eps(z) = z^2 and a probe p, z + p/2 grows by the factor 1 + 2 * scale * p each time."""

    class Square(Linear):
        def denoise(self, x, sigma):
            return x - sigma * self.schedule.to_network(x, sigma) ** 2

    z, v = draw(1, *SHAPE), unit(seed=1)
    seen = []
    trajectory = x_space_guidance(Square(), z, SIGMA, v, scale=0.3, steps=5, progress=seen.append)
    for count, point in enumerate(trajectory):
        torch.testing.assert_close(point, (1 + 2 * 0.3 * v) ** count * (z + v / 2) - v / 2)
    assert all(one is other for one, other in zip(seen, trajectory[1:], strict=True))


def test_nothing_is_recorded_for_autograd():
    trajectory = x_space_guidance(
        Linear(), draw(1, *SHAPE).requires_grad_(), SIGMA, unit(seed=1), scale=0.3, steps=1
    )
    assert not trajectory[-1].requires_grad


@pytest.mark.parametrize("options", [{"scale": 0.0}, {"scale": 1.0, "steps": 0}], ids=str)
def test_no_push_means_no_move(options):
    z = draw(2, *SHAPE)
    assert torch.equal(x_space_guidance(Linear(), z, SIGMA, unit(seed=1), **options)[-1], z)


def test_a_negative_scale_goes_the_other_way():
    z, v = draw(1, *SHAPE), unit(seed=1)
    plus, minus = (x_space_guidance(Linear(), z, SIGMA, v, scale=scale)[-1] for scale in (0.3, -0.3))
    torch.testing.assert_close(plus + minus, 2 * z)
    torch.testing.assert_close(x_space_guidance(Linear(), z, SIGMA, -v, scale=0.3)[-1], minus)


def test_the_direction_is_made_unit_length():
    z, v = draw(1, *SHAPE), unit(seed=1)
    torch.testing.assert_close(*(x_space_guidance(Linear(), z, SIGMA, c * v, scale=0.3)[-1] for c in (1, 20)))


def test_samples_may_have_scales_and_directions_of_their_own():
    z, v, scale = draw(3, *SHAPE), unit(3, seed=1), torch.tensor([0.5, 0.0, -1.0])
    result = x_space_guidance(Linear(), z, SIGMA, v, scale=scale, steps=2)[-1]
    for index in range(3):
        torch.testing.assert_close(result[index], z[index] + 2 * scale[index].item() * push(v[index]))


def test_a_mask_keeps_the_rest_still():
    z, mask = draw(1, *SHAPE), torch.zeros(3, 4, dtype=torch.float64)
    mask[1, 2] = 1
    change = x_space_guidance(Linear(), z, SIGMA, unit(seed=1), scale=0.5, steps=3, mask=mask)[-1] - z
    assert change[..., 1, 2].abs().min() > 0 and change.mul(1 - mask).abs().max() == 0


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
        x_space_guidance(Linear(), draw(1, *SHAPE), SIGMA, direction, scale=1.0)


def test_the_number_of_scales_must_fit():
    with pytest.raises(ValueError, match="each of the 2 samples, got 3"):
        x_space_guidance(Linear(), draw(2, *SHAPE), SIGMA, unit(seed=1), scale=torch.ones(3))


@pytest.mark.parametrize("batch_size, calls", [(None, 4), (4, 8), (1, 24)])
def test_a_grid_is_the_edits_one_by_one(batch_size, calls):
    z, directions, strengths, told = draw(*SHAPE), unit(2, seed=3), [-0.4, 0.1, 0.2], []
    grid = edit_grid(
        Linear(),
        z,
        SIGMA,
        directions,
        strengths,
        steps=4,
        batch_size=batch_size,
        progress=lambda *call: told.append(call),
    )
    assert grid.shape == (2, 3, *SHAPE) and told == [(count, calls) for count in range(1, calls + 1)]
    for row, direction in zip(grid, directions):
        for edit, strength in zip(row, strengths):
            alone = x_space_guidance(Linear(), z[None], SIGMA, direction, scale=strength, steps=4)[-1][0]
            torch.testing.assert_close(edit, alone)


def test_a_quick_grid_lengthens_one_step():
    """Exact for a linear denoiser, whose steps are all alike; with one evaluation a direction and sign."""
    z, directions, strengths = draw(1, *SHAPE), unit(2, seed=3), [0.1, -0.4, 0.0, 0.2, -0.1]
    told = []
    quick = edit_grid(
        Linear(),
        z,
        SIGMA,
        directions,
        strengths,
        steps=4,
        quick=True,
        progress=lambda *call: told.append(call),
    )
    torch.testing.assert_close(quick, edit_grid(Linear(), z, SIGMA, directions, strengths, steps=4))
    assert told == [(1, 1)] and torch.equal(quick[:, 2], z.expand(2, *SHAPE))
