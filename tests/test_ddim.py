"""Generation and inversion with denoisers whose answers are known in closed form."""

import math

import pytest
import torch

from pullback_core import Denoiser, FlowSchedule, NoisyLatent, VPSchedule, ddim

MEAN, SPREAD = 0.4, 0.7  # of the data


class Gaussian(Denoiser):
    """The exact denoiser of data N(MEAN, SPREAD^2) in every coordinate."""

    provenance = {}

    def __init__(self, schedule):
        self.schedule, self.asked = schedule, []

    def denoise(self, x, sigma):
        self.asked.append(sigma)
        alpha = self.schedule.alpha(sigma)
        gain = alpha * SPREAD**2 / (alpha**2 * SPREAD**2 + sigma**2)
        return MEAN + gain * (x - alpha * MEAN)

    def encode(self, x, sigma):
        raise AssertionError("Sampling reads no features.")


VP, FLOW = VPSchedule.scaled_linear(0.00085, 0.012), FlowSchedule()
both = pytest.mark.parametrize("schedule", [VP, FLOW], ids=["vp", "flow"])


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generate(denoiser, x, sigmas, **options):
    return ddim.generate(denoiser, NoisyLatent(x, torch.as_tensor(sigmas)), **options)


def exact(schedule, x, sigma):
    """Where the probability-flow ODE of Gaussian data leads from x at sigma.

    It keeps the distance from the mean, counted in standard deviations.
    """
    alpha = schedule.alpha(sigma)
    return MEAN + SPREAD * (x - alpha * MEAN) / math.sqrt(alpha**2 * SPREAD**2 + sigma**2)


@both
def test_generation_converges_to_the_exact_solution(schedule):
    sigma = schedule.sigma(0.9)
    x = schedule.alpha(sigma) * MEAN + math.sqrt(schedule.alpha(sigma) ** 2 * SPREAD**2 + sigma**2) * draw(
        2, 3, 4, 4
    )
    errors = [
        (generate(Gaussian(schedule), x, schedule.sigmas(steps, start=0.9)) - exact(schedule, x, sigma))
        .abs()
        .max()
        .item()
        for steps in (10, 40, 160)
    ]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] and errors[2] < 0.05


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(
    "schedule, sigma, sigma_next", [(VP, 3.0, 1.2), (FLOW, 0.8, 0.5)], ids=["vp", "flow"]
)
def test_one_step_is_equations_12_and_16_of_ddim(schedule, sigma, sigma_next, eta):
    """Both are in VP coordinates, sqrt(a) x_0 + sqrt(1 - a) noise. Every schedule can be scaled to them."""
    length, length_next = (math.hypot(schedule.alpha(level), level) for level in (sigma, sigma_next))
    a, a_next = (schedule.alpha(sigma) / length) ** 2, (schedule.alpha(sigma_next) / length_next) ** 2
    x, fresh = draw(1, 3, 4, 4), torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(5)).double()
    denoised = Gaussian(schedule).denoise(x, sigma)
    noise = (x / length - math.sqrt(a) * denoised) / math.sqrt(1 - a)
    spread = eta * math.sqrt((1 - a_next) / (1 - a)) * math.sqrt(1 - a / a_next)
    expected = math.sqrt(a_next) * denoised + math.sqrt(1 - a_next - spread**2) * noise + spread * fresh
    found = generate(Gaussian(schedule), x, [sigma, sigma_next], eta=eta, seed=5)
    torch.testing.assert_close(found / length_next, expected)


@both
def test_refinement_makes_the_round_trip_exact(schedule):
    x0, levels = MEAN + SPREAD * draw(2, 3, 4, 4), schedule.sigmas(20, start=0.9)
    errors = []
    for refine in (0, 1, 3, 12):
        x = ddim.invert(Gaussian(schedule), x0, levels, refine=refine)
        errors.append((ddim.generate(Gaussian(schedule), x) - x0).abs().max().item())
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 8 * errors[3]
    assert errors[3] < 1e-3


def test_inversion_costs_one_evaluation_more_for_each_refinement():
    for refine in (0, 2):
        denoiser = Gaussian(VP)
        ddim.invert(denoiser, draw(1, 3, 4, 4), VP.sigmas(5), refine=refine)
        assert len(denoiser.asked) == 5 * (1 + refine)


@both
def test_inversion_asks_for_no_noise_level_that_the_model_does_not_know(schedule):
    low = schedule.sigma_min / 2
    for levels, refine, asked in (
        ([0.9, 0.5, 0.0], 0, [schedule.sigma_min, 0.5]),
        ([0.9, 0.5, 0.0], 2, [schedule.sigma_min, 0.5, 0.9]),
        ([low, 0.0], 0, [low]),
    ):
        denoiser = Gaussian(schedule)
        ddim.invert(denoiser, draw(1, 3, 4, 4), torch.tensor(levels, dtype=torch.float64), refine=refine)
        assert sorted(set(denoiser.asked)) == asked


@both
def test_an_inversion_goes_on_from_a_noisy_latent_on_its_way(schedule):
    sigmas, x0 = schedule.sigmas(12, start=0.8), draw(1, 3, 4, 4)
    whole = ddim.invert(Gaussian(schedule), x0, sigmas)
    part = ddim.invert(Gaussian(schedule), x0, sigmas[5:])
    denoiser = Gaussian(schedule)
    rest = ddim.invert(denoiser, part, sigmas)
    torch.testing.assert_close(rest.x, whole.x)
    assert len(denoiser.asked) == 5 and torch.equal(rest.sigmas, sigmas)


def test_an_inversion_refuses_a_noisy_latent_that_is_not_on_its_way():
    sigmas = VP.sigmas(12, start=0.8)
    noisy = ddim.invert(Gaussian(VP), draw(1, 3, 4, 4), sigmas)
    for other in (sigmas, VP.sigmas(12, start=0.9)):
        with pytest.raises(ValueError, match="on its own way"):
            ddim.invert(Gaussian(VP), noisy, other)


def test_progress_sees_every_step_of_an_inversion():
    seen = []
    x = ddim.invert(Gaussian(VP), draw(1, 3, 4, 4), torch.tensor([3.0, 2.0, 1.0, 0.0]), progress=seen.append)
    assert [one.sigma for one in seen] == [1.0, 2.0, 3.0] and torch.equal(seen[-1].x, x.x)
    assert torch.equal(x.sigmas, torch.tensor([3.0, 2.0, 1.0, 0.0]))


def test_nothing_is_recorded_for_autograd():
    x = draw(1, 3, 4, 4).requires_grad_()
    assert not generate(Gaussian(VP), x, [2.0, 0.0]).requires_grad
    assert not ddim.invert(Gaussian(VP), x, torch.tensor([2.0, 0.0])).x.requires_grad


@both
def test_ancestral_sampling_has_the_right_distribution(schedule):
    sigma = schedule.sigma_max
    x = schedule.add_noise(MEAN + SPREAD * draw(1, 1, 200, 200), draw(1, 1, 200, 200, seed=1), sigma)
    result = generate(Gaussian(schedule), x, schedule.sigmas(400), eta=1.0)
    assert result.mean().item() == pytest.approx(MEAN, abs=0.03)
    assert result.std().item() == pytest.approx(SPREAD, abs=0.03)


def test_fresh_noise_follows_the_seed():
    x, levels = 5 * draw(1, 3, 4, 4), VP.sigmas(10, start=0.8)
    one, same, other = (generate(Gaussian(VP), x, levels, eta=1.0, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.allclose(one, other, atol=0.01)


def test_boosting_acts_below_its_fraction_alone():
    x, levels = 5 * draw(1, 3, 4, 4), VP.sigmas(10, start=0.8)
    plain = generate(Gaussian(VP), x, levels)
    assert torch.equal(generate(Gaussian(VP), x, levels, boost_below=0.01), plain)
    seen = {}
    for boost in (0.0, 0.41):
        seen[boost] = []
        generate(Gaussian(VP), x, levels, boost_below=boost, progress=seen[boost].append)
    changed = [not torch.equal(a, b) for a, b in zip(seen[0.0], seen[0.41])]
    # Steps start at 0.8, 0.72, ..., 0.4, ...: the sixth is the first to add noise, the seventh sees it first.
    assert changed == [False] * 6 + [True] * 4


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: generate(Gaussian(VP), draw(1, 3, 4, 4), [1.0, 2.0]), "must decrease.*1, 2"),
        (lambda: generate(Gaussian(VP), draw(1, 3, 4, 4), [2.0]), "lead back to the picture"),
        (lambda: generate(Gaussian(VP), draw(1, 3, 4, 4), [2.0, -1.0]), "not negative"),
        (lambda: generate(Gaussian(VP), draw(1, 3, 4, 4), [2.0, float("nan")]), "finite"),
        (lambda: generate(Gaussian(VP), draw(1, 3, 4, 4), [2.0, 1.0], eta=1.5), "eta.*1.5"),
        (
            lambda: generate(Gaussian(VP), draw(1, 3, 4, 4), [4518.0, 1.0, 0.0]),
            r"up to 14\.6146, got 4518",
        ),
        (
            lambda: generate(Gaussian(VP), draw(1, 3, 4, 4), [math.inf, 1.0]),
            r"finite.*largest of this model is 14\.6146",
        ),
        (lambda: generate(Gaussian(FLOW), draw(1, 3, 4, 4), [3.3, 0.5, 0.0]), "up to 1, got 3.3"),
        (
            lambda: ddim.invert(Gaussian(FLOW), draw(1, 3, 4, 4), torch.tensor([3.3, 0.5, 0.0])),
            "up to 1, got 3.3",
        ),
        (lambda: ddim.invert(Gaussian(VP), draw(1, 3, 4, 4), torch.tensor([1.0, 2.0])), "must decrease"),
        (
            lambda: ddim.invert(Gaussian(VP), draw(1, 3, 4, 4), torch.tensor([1.0, 0.0]), refine=-1),
            "refine.*-1",
        ),
    ],
)
def test_impossible_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
