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
from collections.abc import Sequence

import torch

from .log_sigmas import log_sigmas_of


class NoiseSchedule(ABC):
    """Noise levels of a model. Time is a fraction of T: 0 is the clean end, 1 pure noise.

    Attributes:
        sigma_min: The noise level of the first timestep.
        sigma_max: The highest noise level.
        tolerance: `require_level` accepts levels above `sigma_max` up to this share of it.
    """

    sigma_min: float
    sigma_max: float
    tolerance = 1e-4

    @abstractmethod
    def sigma(self, fraction: float) -> float:
        """The noise level at a fraction of T.

        Args:
            fraction: From 0 to 1.

        Returns:
            The noise level.

        Raises:
            ValueError: The fraction is outside [0, 1].
        """

    @abstractmethod
    def fraction(self, sigma: float) -> float:
        """The inverse of `sigma`, clamped to [0, 1]."""

    @abstractmethod
    def scale(self, sigma: float) -> float:
        """The factor between the coordinates: x = scale * z, x of samplers and z of networks.

        Karras et al. 2022 call its inverse c_in.

        Args:
            sigma: A noise level.

        Returns:
            The factor.
        """

    @abstractmethod
    def alpha(self, sigma: float) -> float:
        """The share of x_0 in x, in sampler coordinates: x = alpha * x_0 + sigma * noise."""

    def to_network(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Convert sampler coordinates to network coordinates. x: any shape."""
        return x / self.scale(sigma)

    def from_network(self, z: torch.Tensor, sigma: float) -> torch.Tensor:
        """Convert network coordinates to sampler coordinates. z: any shape."""
        return z * self.scale(sigma)

    def require_level(self, sigma: float) -> float:
        """Refuse a noise level that the model does not have.

        Levels below `sigma_min` pass: the network is then told its first timestep.

        Args:
            sigma: A float, or a tensor of one number.

        Returns:
            sigma as a float.

        Raises:
            ValueError: The level is above `sigma_max` (beyond rounding), 0, negative, infinite or NaN.
        """
        sigma = float(sigma)
        if not 0 < sigma <= self.sigma_max * (1 + self.tolerance):
            raise ValueError(
                f"This model has noise levels (sigmas) above 0 and up to {self.sigma_max:.6g}, "
                f"got {sigma:g}; use levels that were made for this model."
            )
        return sigma

    def add_noise(self, x0: torch.Tensor, noise: torch.Tensor, sigma: float) -> torch.Tensor:
        """Make a noisy x in sampler coordinates from a clean x0.

        Args:
            x0: (b, c, h, w) clean latents.
            noise: Unit noise of their shape.
            sigma: The noise level.

        Returns:
            The noisy latents, of x0's shape.
        """
        return self.alpha(sigma) * x0 + sigma * noise

    def predicted_noise(self, x: torch.Tensor, denoised: torch.Tensor, sigma: float) -> torch.Tensor:
        """The eps that a denoiser implies, from x = alpha * denoised + sigma * eps.

        Args:
            x: In sampler coordinates, of any shape.
            denoised: The predicted x_0, of x's shape.
            sigma: The noise level of x, above 0.

        Returns:
            eps, of x's shape.
        """
        return (x - self.alpha(sigma) * denoised) / sigma

    def sigmas(self, steps: int, start: float = 1.0, end: float = 0.0) -> torch.Tensor:
        """Noise levels at evenly spaced times.

        The clean end, where there is no noise left, is exactly 0.

        Args:
            steps: The number of steps between the levels.
            start: The first time, a fraction of T.
            end: The last time, a fraction of T.

        Returns:
            (steps + 1,) float32.

        Raises:
            ValueError: There is less than one step, or a fraction is outside [0, 1].
        """
        if steps < 1:
            raise ValueError(f"At least one step is needed, got {steps}.")
        _check_fraction(start)
        _check_fraction(end)
        between = (start + (end - start) * index / steps for index in range(1, steps))
        return torch.tensor(
            [self.sigma(fraction) if fraction > 0 else 0.0 for fraction in (start, *between, end)]
        )


def _check_fraction(fraction: float) -> None:
    if not 0 <= fraction <= 1:
        raise ValueError(f"A timestep is a fraction of T from 0 (clean) to 1 (noise), got {fraction}.")


class VPSchedule(NoiseSchedule):
    """Discrete noise levels of a DDPM-style model; between two timesteps log sigma is linear.

    Args:
        alphas_cumprod: (T,) decreasing, the paper's a_t. Rounding may have made neighbours equal: their
            levels are spread within the rounding error. The end may be 0 (zero terminal SNR), or a small
            number that stands for it: sigma is then finite, above that of the timestep before.

    Raises:
        ValueError: alphas_cumprod is something else.
    """

    tolerance = 0.01  # published lists of levels and numbers typed by hand are rounded

    def __init__(self, alphas_cumprod: torch.Tensor | Sequence[float]) -> None:
        self.log_sigmas = log_sigmas_of(_in_float64(alphas_cumprod))
        self.sigma_min, self.sigma_max = (math.exp(self.log_sigmas[index]) for index in (0, -1))

    @classmethod
    def scaled_linear(cls, start: float, end: float, steps: int = 1000) -> "VPSchedule":
        """Make a schedule of betas whose square roots are evenly spaced.

        Args:
            start: The first beta, 0.00085 in Stable Diffusion.
            end: The last beta, 0.012 in Stable Diffusion.
            steps: The number of timesteps.

        Returns:
            The schedule.
        """
        betas = torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
        return cls(torch.cumprod(1 - betas, dim=0))

    @property
    def num_timesteps(self) -> int:
        """The number of timesteps, T."""
        return len(self.log_sigmas)

    def timestep(self, sigma: float | torch.Tensor) -> torch.Tensor:
        """The index of noise levels, with a fraction between two timesteps.

        Args:
            sigma: A float, or a tensor of any shape.

        Returns:
            A float64 tensor of its shape on the CPU, from 0 to T - 1.
        """
        log_sigma = torch.log(_in_float64(sigma))
        high = torch.searchsorted(self.log_sigmas, log_sigma.contiguous()).clamp(1, self.num_timesteps - 1)
        low_value, high_value = self.log_sigmas[high - 1], self.log_sigmas[high]
        weight = ((log_sigma - low_value) / (high_value - low_value)).clamp(0, 1)
        return high - 1 + weight

    def sigma(self, fraction: float) -> float:
        _check_fraction(fraction)
        position = fraction * (self.num_timesteps - 1)
        low = min(int(position), self.num_timesteps - 2)
        return math.exp(torch.lerp(self.log_sigmas[low], self.log_sigmas[low + 1], position - low).item())

    def fraction(self, sigma: float) -> float:
        return (self.timestep(sigma) / (self.num_timesteps - 1)).item()

    def scale(self, sigma: float) -> float:
        return (1 + sigma**2) ** 0.5

    def alpha(self, sigma: float) -> float:
        return 1.0


def _in_float64(numbers: torch.Tensor | Sequence[float] | float) -> torch.Tensor:
    """A float, list, array or tensor as a float64 tensor on the CPU: not every device has float64."""
    return torch.as_tensor(
        numbers.cpu() if isinstance(numbers, torch.Tensor) else numbers, dtype=torch.float64
    )


class FlowSchedule(NoiseSchedule):
    """Rectified-flow noise levels (CONST models): sigma runs over (0, 1].

    Args:
        shift: The time shift s of Esser et al. 2024 (Stable Diffusion 3), eq. 23:
            sigma = s*f / (1 + (s - 1)*f).
        num_timesteps: `sigma_min` is the noise level at the fraction 1 / num_timesteps.

    Raises:
        ValueError: The shift is not a positive number.
    """

    def __init__(self, shift: float = 1.0, num_timesteps: int = 1000) -> None:
        if not 0 < shift < math.inf:
            raise ValueError(f"The shift of a flow schedule must be positive, got {shift}.")
        self.shift = shift
        self.sigma_min, self.sigma_max = self.sigma(1 / num_timesteps), 1.0

    def sigma(self, fraction: float) -> float:
        _check_fraction(fraction)
        return self.shift * fraction / (1 + (self.shift - 1) * fraction)

    def fraction(self, sigma: float) -> float:
        sigma = min(max(float(sigma), 0.0), 1.0)
        return sigma / (self.shift - (self.shift - 1) * sigma)

    def scale(self, sigma: float) -> float:
        return 1.0

    def alpha(self, sigma: float) -> float:
        return 1.0 - sigma
