"""Noise levels, and the two coordinate systems in which a noisy latent is written.

Samplers hold x in *sampler* coordinates: variance-exploding (VE), x = x_0 + sigma * noise, for eps-
and v-prediction models; x = (1 - sigma) * x_0 + sigma * noise for flow models. Networks see z in
*network* coordinates: variance-preserving (VP), z = x / sqrt(1 + sigma^2), for the former (the x_t
of Park et al. 2023, with sigma^2 = (1 - a_t) / a_t); the same x for flow.

In both, one Euler step of the probability-flow ODE is
x + (x - denoised) / sigma * (sigma_next - sigma), which for VE coordinates is DDIM
(Song, Meng, Ermon, "Denoising Diffusion Implicit Models", ICLR 2021, eq. 12 and 14).
"""

import math
from abc import ABC, abstractmethod

import torch


class NoiseSchedule(ABC):
    """Noise levels of a model. Time is a fraction of T: 0 is the clean end, 1 pure noise."""

    sigma_min: float
    sigma_max: float

    @abstractmethod
    def sigma(self, fraction):
        """The noise level at `fraction` of T, a float in [0, 1]. Returns a float."""

    @abstractmethod
    def fraction(self, sigma):
        """The inverse of `sigma`, clamped to [0, 1]. Returns a float."""

    @abstractmethod
    def to_network(self, x, sigma):
        """Sampler coordinates -> network coordinates."""

    @abstractmethod
    def from_network(self, z, sigma):
        """Network coordinates -> sampler coordinates."""

    @abstractmethod
    def alpha(self, sigma):
        """How much of x_0 is in x, in sampler coordinates: x = alpha * x_0 + sigma * noise."""

    def add_noise(self, x0, noise, sigma):
        """A noisy x in sampler coordinates from a clean x0 and unit noise of its shape."""
        return self.alpha(sigma) * x0 + sigma * noise

    def predicted_noise(self, x, denoised, sigma):
        """The eps that a denoiser implies at x (sampler coordinates): x = alpha * denoised + sigma * eps."""
        return (x - self.alpha(sigma) * denoised) / sigma

    def sigmas(self, steps, start=1.0, end=0.0):
        """Noise levels at `steps` + 1 evenly spaced times from `start` to `end` (fractions of T).

        The clean end, where there is no noise left, is exactly 0. Returns (steps + 1,) float32.
        Raises ValueError for fewer than one step or a fraction outside [0, 1].
        """
        if steps < 1:
            raise ValueError(f"At least one step is needed, got {steps}.")
        _check_fraction(start)
        _check_fraction(end)
        between = (start + (end - start) * index / steps for index in range(1, steps))
        return torch.tensor([self.sigma(fraction) if fraction > 0 else 0.0 for fraction in (start, *between, end)])


def _check_fraction(fraction):
    if not 0 <= fraction <= 1:
        raise ValueError(f"A timestep is a fraction of T from 0 (clean) to 1 (noise), got {fraction}.")


class VPSchedule(NoiseSchedule):
    """Discrete noise levels of a DDPM-style model; between two timesteps log sigma is linear.

    alphas_cumprod: (T,) decreasing, the paper's a_t.
    """

    def __init__(self, alphas_cumprod):
        alphas = torch.as_tensor(alphas_cumprod, dtype=torch.float64)
        if alphas.ndim != 1 or len(alphas) < 2 or not (alphas.diff() < 0).all() or not 0 < alphas[-1] < alphas[0] < 1:
            raise ValueError("alphas_cumprod must be a decreasing list of at least two numbers between 0 and 1.")
        self.log_sigmas = 0.5 * torch.log((1 - alphas) / alphas)
        self.sigma_min, self.sigma_max = (math.exp(self.log_sigmas[index]) for index in (0, -1))

    @classmethod
    def scaled_linear(cls, start, end, steps=1000):
        """Betas whose square roots are evenly spaced, as in Stable Diffusion (0.00085 to 0.012)."""
        betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
        return cls(torch.cumprod(1 - betas, dim=0))

    @property
    def num_timesteps(self):
        return len(self.log_sigmas)

    def timestep(self, sigma):
        """The (fractional) index of noise levels. sigma: float or any tensor; returns a tensor of its shape."""
        log_sigma = torch.log(torch.as_tensor(sigma, dtype=torch.float64)).cpu()
        high = torch.searchsorted(self.log_sigmas, log_sigma.contiguous()).clamp(1, self.num_timesteps - 1)
        low_value, high_value = self.log_sigmas[high - 1], self.log_sigmas[high]
        weight = ((log_sigma - low_value) / (high_value - low_value)).clamp(0, 1)
        return high - 1 + weight

    def sigma(self, fraction):
        _check_fraction(fraction)
        position = fraction * (self.num_timesteps - 1)
        low = min(int(position), self.num_timesteps - 2)
        return math.exp(torch.lerp(self.log_sigmas[low], self.log_sigmas[low + 1], position - low).item())

    def fraction(self, sigma):
        return (self.timestep(sigma) / (self.num_timesteps - 1)).item()

    def to_network(self, x, sigma):
        return x / (1 + sigma**2) ** 0.5

    def from_network(self, z, sigma):
        return z * (1 + sigma**2) ** 0.5

    def alpha(self, sigma):
        return 1.0


class FlowSchedule(NoiseSchedule):
    """Rectified-flow noise levels (CONST models): sigma runs over (0, 1].

    shift: time shift s of Esser et al. 2024 (Stable Diffusion 3), eq. 23: sigma = s*f / (1 + (s - 1)*f).
    """

    def __init__(self, shift=1.0, num_timesteps=1000):
        if not 0 < shift < math.inf:
            raise ValueError(f"The shift of a flow schedule must be positive, got {shift}.")
        self.shift = shift
        self.sigma_min, self.sigma_max = self.sigma(1 / num_timesteps), 1.0

    def sigma(self, fraction):
        _check_fraction(fraction)
        return self.shift * fraction / (1 + (self.shift - 1) * fraction)

    def fraction(self, sigma):
        sigma = min(max(float(sigma), 0.0), 1.0)
        return sigma / (self.shift - (self.shift - 1) * sigma)

    def to_network(self, x, sigma):
        return x

    def from_network(self, z, sigma):
        return z

    def alpha(self, sigma):
        return 1.0 - sigma
