"""The value that every algorithm hands on: pictures on their way through noise."""

from dataclasses import dataclass, replace

import torch

from .models.schedule import NoiseSchedule

TOO_LITTLE_NOISE = 0.25  # a latent with less than this share of its level's noise counts as clean
SMOOTH = 0.7  # in a picture, the finest differences are smaller than this share of its spread


@dataclass(frozen=True, eq=False)
class NoisyLatent:
    """Noisy latents of one noise level, and the way back to the clean pictures.

    Attributes:
        x: (b, c, h, w) in sampler coordinates (see `models.schedule`), at the noise level `sigmas[0]`.
        sigmas: (steps + 1,) decreasing noise levels from here to the clean end, usually 0.

    Raises:
        ValueError: x or sigmas has another shape, or sigmas[0] is no noise level.
    """

    x: torch.Tensor
    sigmas: torch.Tensor

    def __post_init__(self) -> None:
        if self.x.ndim != 4 or not len(self.x):
            raise ValueError(f"Noisy latents have the shape (b, c, h, w), got {tuple(self.x.shape)}.")
        if self.sigmas.ndim != 1 or len(self.sigmas) < 2 or not self.sigmas[0] > 0:
            raise ValueError(
                "The noise levels of a noisy latent start above 0 and lead back to the picture, "
                f"got {self.sigmas.flatten()[:3].tolist()}."
            )

    @property
    def sigma(self) -> float:
        """The noise level of x."""
        return float(self.sigmas[0])

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int | slice) -> "NoisyLatent":
        """Sample `index`, or several, as a `NoisyLatent` of its own."""
        if isinstance(index, int):
            index = slice(index, index + 1 or None)
        return self.with_x(self.x[index])

    def with_x(self, x: torch.Tensor) -> "NoisyLatent":
        """Other latents (b, c, h, w) of the same noise level."""
        return replace(self, x=x)


def lacks_noise(noisy: NoisyLatent, schedule: NoiseSchedule) -> list[bool]:
    """Tell for each latent whether it is evidently a clean picture, although it should be noisy.

    Noise shows in the finest diagonal differences, where pictures have little.

    Args:
        noisy: Latents that should have the noise of their level.
        schedule: The noise schedule of the model.

    Returns:
        One bool for each latent; False for latents of a single row or column, of zeros or of NaN.
    """
    x, sigma, alpha = noisy.x, noisy.sigma, schedule.alpha(noisy.sigma)
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    if not height or not width:
        return [False] * len(x)
    part = x[..., :height, :width].float() / alpha
    top, bottom = part[..., 0::2, :], part[..., 1::2, :]
    # The factor 1/2 keeps the variance of unit noise.
    diagonal = (top[..., 0::2] - top[..., 1::2] - bottom[..., 0::2] + bottom[..., 1::2]) / 2
    finest = diagonal.square().mean(dim=(1, 2, 3)).sqrt()
    spread = (part - part.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(1, 2, 3)).sqrt()
    clean = (finest < TOO_LITTLE_NOISE * sigma / alpha) & (finest <= SMOOTH * spread)
    return (clean & (part != 0).flatten(1).any(dim=1)).tolist()
