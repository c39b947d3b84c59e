"""Ranks and spectra with known values."""

import math

import pytest
import torch

from pullback_core import spectra


@pytest.mark.parametrize(
    "values, expected", [([5.0], 1), ([2.0, 2.0, 2.0], 3), ([1.0, 0.0, 0.0], 1), ([0.5, 0.25, 0.25], 2**1.5)]
)
def test_effective_rank_counts_the_values_that_matter(values, expected):
    assert spectra.effective_rank(torch.tensor(values)) == pytest.approx(expected)


@pytest.mark.parametrize("cycles", [1, 3, 8])
def test_the_mean_frequency_of_a_wave_is_its_own(cycles):
    wave = torch.cos(2 * math.pi * cycles * torch.arange(16) / 16).expand(2, 3, 16, 16)
    torch.testing.assert_close(spectra.mean_frequency(wave), torch.full((2,), float(cycles)))


@pytest.mark.parametrize("down, across, frequency", [(0, 0, 0), (0, 3, 3), (8, 0, 8), (3, 4, 5), (-3, 4, 5)])
def test_a_wave_has_its_power_at_its_frequency(down, across, frequency):
    y, x = torch.meshgrid(torch.arange(24) / 24, torch.arange(32) / 32, indexing="ij")
    wave = torch.cos(2 * math.pi * (down * y + across * x)).expand(2, 1, 24, 32)
    frequencies, power = spectra.power_spectrum(wave)
    assert frequencies.tolist() == list(range(13)) and power.shape == (2, 13)
    assert (power.argmax(dim=1) == frequency).all() and power[0].sort().values[-2] < 1e-6 * power[0].max()


def test_white_noise_is_flat_at_its_variance():
    noise = 3 * torch.randn(200, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    _, power = spectra.power_spectrum(noise)
    torch.testing.assert_close(power.mean(dim=0), torch.full((9,), 9.0), rtol=0.1, atol=0)


def test_the_mean_spectrum_is_the_mean_of_the_spectra():
    noise = torch.randn(5, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    frequencies, power = spectra.mean_power_spectrum(noise)
    every_frequency, every_power = spectra.power_spectrum(noise)
    assert torch.equal(frequencies, every_frequency)
    torch.testing.assert_close(power, every_power.mean(dim=0))
