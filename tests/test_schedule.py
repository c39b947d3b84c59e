"""Noise levels and coordinate systems."""

import math

import pytest
import torch

from pullback_core import FlowSchedule, VPSchedule

STABLE_DIFFUSION = VPSchedule.scaled_linear(0.00085, 0.012)
SCHEDULES = [STABLE_DIFFUSION, VPSchedule.scaled_linear(0.00085, 0.022), FlowSchedule(), FlowSchedule(shift=3.0)]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=["SD", "faces", "flow", "flow shifted"])


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_stable_diffusion_has_its_known_noise_levels():
    assert STABLE_DIFFUSION.sigma_max == pytest.approx(14.6146, abs=1e-4)
    assert STABLE_DIFFUSION.sigma_min == pytest.approx(0.0291675, abs=1e-6)
    assert STABLE_DIFFUSION.timestep(STABLE_DIFFUSION.sigma_max).item() == 999
    levels = torch.exp(STABLE_DIFFUSION.log_sigmas[[0, 250, 999]])
    torch.testing.assert_close(STABLE_DIFFUSION.timestep(levels), torch.tensor([0.0, 250.0, 999.0], dtype=torch.float64))


@each_schedule
def test_fraction_and_sigma_are_inverse(schedule):
    for fraction in (0.01, 0.25, 0.5, 0.7, 1.0):
        assert schedule.fraction(schedule.sigma(fraction)) == pytest.approx(fraction, abs=1e-9)
    assert schedule.sigma(1.0) == pytest.approx(schedule.sigma_max)
    assert schedule.sigma(0.3) < schedule.sigma(0.31)


@each_schedule
def test_sampler_and_network_coordinates_are_inverse(schedule):
    x, sigma = draw(2, 3, 4, 4), schedule.sigma(0.6)
    torch.testing.assert_close(schedule.from_network(schedule.to_network(x, sigma), sigma), x)


def test_vp_network_coordinates_are_the_papers():
    x0, noise, sigma = draw(1, 3, 4, 4), draw(1, 3, 4, 4, seed=1), 2.0
    z = STABLE_DIFFUSION.to_network(STABLE_DIFFUSION.add_noise(x0, noise, sigma), sigma)
    a = 1 / (1 + sigma**2)
    torch.testing.assert_close(z, math.sqrt(a) * x0 + math.sqrt(1 - a) * noise)


def test_flow_coordinates_interpolate():
    x0, noise = draw(1, 3, 4, 4), draw(1, 3, 4, 4, seed=1)
    torch.testing.assert_close(FlowSchedule().add_noise(x0, noise, 0.25), 0.75 * x0 + 0.25 * noise)
    assert FlowSchedule(shift=3.0).sigma(0.5) == pytest.approx(0.75)


@each_schedule
def test_the_noise_that_was_added_is_found_again(schedule):
    x0, noise, sigma = draw(2, 3, 4, 4), draw(2, 3, 4, 4, seed=1), schedule.sigma(0.7)
    torch.testing.assert_close(schedule.predicted_noise(schedule.add_noise(x0, noise, sigma), x0, sigma), noise)


@each_schedule
def test_levels_run_from_start_to_exactly_zero(schedule):
    levels = schedule.sigmas(10, start=0.7)
    assert len(levels) == 11 and levels[-1] == 0 and (levels.diff() < 0).all()
    assert levels[0].item() == pytest.approx(schedule.sigma(0.7), rel=1e-6)
    torch.testing.assert_close(schedule.sigmas(10, start=0.0, end=0.7), levels.flip(0))


@each_schedule
@pytest.mark.parametrize("ends", [
    {"start": 0.7},
    {"start": 0.47},
    {"start": 0.08, "end": 1.0},
], ids=str)
def test_rounding_does_not_move_the_ends(schedule, ends):
    levels = schedule.sigmas(10, **ends)
    expected = schedule.sigma(ends["end"]) if "end" in ends else 0.0
    assert levels[-1].item() == pytest.approx(expected, rel=1e-6, abs=0)


@each_schedule
def test_noise_beyond_the_schedule_is_at_its_ends(schedule):
    assert schedule.fraction(1e-12) == pytest.approx(0, abs=1e-9) and schedule.fraction(1e9) == 1


def test_levels_keep_the_shape_in_which_they_are_asked():
    timesteps = STABLE_DIFFUSION.timestep(torch.tensor([[1e-9, 1e9], [1.0, 2.0]]))
    assert timesteps[0].tolist() == [0, 999] and 0 < timesteps[1, 0] < timesteps[1, 1] < 999


def test_a_flow_schedule_starts_at_its_first_timestep():
    assert FlowSchedule(num_timesteps=100).sigma_min == pytest.approx(0.01)
    assert FlowSchedule(shift=3.0, num_timesteps=100).sigma_min == pytest.approx(0.03 / 1.02)


@pytest.mark.parametrize("schedule, alpha", [(STABLE_DIFFUSION, 1.0), (FlowSchedule(), 0.6)])
def test_alpha_is_the_share_of_the_picture(schedule, alpha):
    assert schedule.alpha(0.4) == pytest.approx(alpha)


@each_schedule
@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_a_fraction_outside_the_schedule_is_refused(schedule, fraction):
    with pytest.raises(ValueError, match="fraction of T from 0"):
        schedule.sigma(fraction)


@pytest.mark.parametrize("call, message", [
    (lambda: STABLE_DIFFUSION.sigmas(0), "one step.*got 0"),
    (lambda: STABLE_DIFFUSION.sigmas(5, start=1.5), "fraction of T.*1.5"),
    (lambda: STABLE_DIFFUSION.sigmas(5, start=-0.5), "fraction of T"),
    (lambda: STABLE_DIFFUSION.sigmas(5, end=-0.5), "fraction of T"),
    (lambda: VPSchedule([0.5, 0.9]), "decreasing"),
    (lambda: VPSchedule([1.5, 0.5]), "between 0 and 1"),
    (lambda: FlowSchedule(shift=0), "shift.*positive"),
])
def test_impossible_schedules_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
