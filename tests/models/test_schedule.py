"""Noise levels and coordinate systems."""

import math

import pytest
import torch

from pullback_core import FlowSchedule, VPSchedule

STABLE_DIFFUSION = VPSchedule.scaled_linear(0.00085, 0.012)
SCHEDULES = [
    STABLE_DIFFUSION,
    VPSchedule.scaled_linear(0.00085, 0.022),
    FlowSchedule(),
    FlowSchedule(shift=3.0),
]
each_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=["SD", "faces", "flow", "flow shifted"])


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_stable_diffusion_has_its_known_noise_levels():
    assert STABLE_DIFFUSION.sigma_max == pytest.approx(14.6146, abs=1e-4)
    assert STABLE_DIFFUSION.sigma_min == pytest.approx(0.0291675, abs=1e-6)
    assert STABLE_DIFFUSION.timestep(STABLE_DIFFUSION.sigma_max).item() == 999
    levels = torch.exp(STABLE_DIFFUSION.log_sigmas[[0, 250, 999]])
    torch.testing.assert_close(
        STABLE_DIFFUSION.timestep(levels), torch.tensor([0.0, 250.0, 999.0], dtype=torch.float64)
    )


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
    torch.testing.assert_close(
        schedule.predicted_noise(schedule.add_noise(x0, noise, sigma), x0, sigma), noise
    )


@each_schedule
def test_levels_run_from_start_to_exactly_zero(schedule):
    levels = schedule.sigmas(10, start=0.7)
    assert len(levels) == 11 and levels[-1] == 0 and (levels.diff() < 0).all()
    assert levels[0].item() == pytest.approx(schedule.sigma(0.7), rel=1e-6)
    torch.testing.assert_close(schedule.sigmas(10, start=0.0, end=0.7), levels.flip(0))


@each_schedule
@pytest.mark.parametrize(
    "ends",
    [
        {"start": 0.7},
        {"start": 0.47},
        {"start": 0.08, "end": 1.0},
    ],
    ids=str,
)
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


@each_schedule
def test_levels_of_the_model_are_accepted(schedule):
    rounded = torch.tensor(
        schedule.sigma_max, dtype=torch.float32
    )  # as a scheduler of the host hands it over
    for level in (
        schedule.sigma_max,
        rounded,
        schedule.sigma(0.5),
        schedule.sigma_min,
        schedule.sigma_min / 10,
    ):
        assert schedule.require_level(level) == float(level)


def test_rounded_lists_of_levels_are_accepted():
    for published in (14.615, 14.7):
        assert STABLE_DIFFUSION.require_level(published) == published


@each_schedule
@pytest.mark.parametrize("level", [4518.0, math.inf, math.nan, -1.0, 0.0], ids=str)
def test_levels_that_the_model_lacks_are_refused_naming_its_largest(schedule, level):
    with pytest.raises(ValueError, match=rf"up to {schedule.sigma_max:.6g}, got {level:g}; ") as refused:
        schedule.require_level(torch.tensor(level))
    assert "\n" not in str(refused.value) and str(refused.value).endswith(".")


def test_levels_above_pure_noise_are_refused_in_flows():
    with pytest.raises(ValueError, match=r"up to 1, got 3\.3"):
        FlowSchedule().require_level(3.3)


def linear_betas(start, end):
    return torch.linspace(start, end, 1000, dtype=torch.float64)


def scaled_linear_betas(start, end):
    return torch.linspace(start**0.5, end**0.5, 1000, dtype=torch.float64) ** 2


def cosine_betas():
    signal = torch.cos((torch.arange(1001, dtype=torch.float64) / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2
    return (1 - signal[1:] / signal[:-1]).clamp(max=0.999)


def zero_snr(alphas):
    """alphas_cumprod shifted and scaled so that the last one is 0 (Lin et al. 2024, algorithm 1)."""
    root = alphas.sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2


BETAS = {
    "linear": linear_betas(1e-4, 0.02),
    "LDM": linear_betas(0.0015, 0.0195),
    "LDM scaled": scaled_linear_betas(0.0015, 0.0195),
    "SD": scaled_linear_betas(0.00085, 0.012),
    "cosine": cosine_betas(),
    "steep": linear_betas(1e-4, 0.05),
}


@pytest.mark.parametrize(
    "last", [0.0, 2.0**-24, 4.8973451890853435e-08], ids=["zero", "as in Euler schedulers", "as in ComfyUI"]
)
@pytest.mark.parametrize("name", BETAS)
def test_zero_snr_schedules_have_the_right_rising_levels(name, last):
    exact = zero_snr(torch.cumprod(1 - BETAS[name], dim=0))
    alphas = zero_snr(torch.cumprod(1 - BETAS[name], dim=0).float())
    alphas[-1] = last
    schedule = VPSchedule(alphas)
    levels = torch.tensor([schedule.sigma(index / 999) for index in range(1000)], dtype=torch.float64)
    expected = ((1 - exact) / exact).sqrt()
    torch.testing.assert_close(levels[:-1], expected[:-1], rtol=5e-3, atol=0)
    assert (
        (levels.diff() > 0).all()
        and (levels.float().diff() > 0).all()
        and schedule.sigma_max == levels[-1] < 1e12
    )
    for rounded in (levels, levels.float()):
        assert torch.equal(schedule.timestep(rounded).round().long(), torch.arange(1000))


def test_a_zero_end_keeps_the_level_that_it_had():
    alphas = zero_snr(torch.cumprod(1 - BETAS["SD"], dim=0))
    assert VPSchedule(alphas).sigma_max == pytest.approx(2**12, rel=1e-6)


@pytest.mark.parametrize("name", ["linear", "SD", "cosine"])
def test_neighbours_made_equal_by_rounding_are_spread(name):
    exact = torch.cumprod(1 - BETAS[name], dim=0)[100:]  # the first ones would round to 1, which has no level
    rounded = exact.bfloat16()
    schedule = VPSchedule(rounded)
    assert (rounded.diff() == 0).any() and (schedule.log_sigmas.diff() > 0).all()
    levels = torch.exp(schedule.log_sigmas)
    assert torch.equal(schedule.timestep(levels).round().long(), torch.arange(len(levels)))
    alphas = 1 / (1 + levels**2)
    torch.testing.assert_close(
        alphas[rounded > 1e-6], exact[rounded > 1e-6], rtol=2 * torch.finfo(torch.bfloat16).eps, atol=0
    )


def test_equal_and_zero_ends_of_any_length_rise():
    for end in ([2e-5] * 5, [0.0] * 5, [2e-5, 2e-5, 0.0], [0.0, 0.0, 2.0**-24]):
        schedule = VPSchedule(torch.tensor([0.9, 0.5, 0.1, *end]))
        assert (schedule.log_sigmas.diff() > 0).all() and schedule.sigma_max < 1e4


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: STABLE_DIFFUSION.sigmas(0), "one step.*got 0"),
        (lambda: STABLE_DIFFUSION.sigmas(5, start=1.5), "fraction of T.*1.5"),
        (lambda: STABLE_DIFFUSION.sigmas(5, start=-0.5), "fraction of T"),
        (lambda: STABLE_DIFFUSION.sigmas(5, end=-0.5), "fraction of T"),
        (lambda: VPSchedule([0.5, 0.9]), "decreasing"),
        (lambda: VPSchedule([1.5, 0.5]), "between 0 and 1"),
        (lambda: VPSchedule([0.9, math.nan, 0.1]), "between 0 and 1"),
        (lambda: VPSchedule([0.9, 0.0, 0.1]), "between 0 and 1"),
        (lambda: VPSchedule([0.9, 0.5, 0.6, 0.1]), "decreasing"),
        (lambda: VPSchedule([0.9, 0.5, 0.1, 0.2]), "decreasing"),
        (lambda: VPSchedule([0.5, 0.5]), "decreasing"),
        (lambda: VPSchedule([0.0, 0.0]), "decreasing"),
        (lambda: FlowSchedule(shift=0), "shift.*positive"),
    ],
)
def test_impossible_schedules_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
