"""How many directions matter, and how fine they are: effective rank, power spectra and frequencies.

>>> import torch
>>> effective_rank(torch.tensor([1.0, 1.0, 0.0]))
2.0
"""

import torch


def effective_rank(s: torch.Tensor) -> float:
    """Count the directions that matter: exp of the entropy of s / sum(s), from 1 to k.

    Only the values that were computed count, so compare only bases of one rank.
    Source: Roy and Vetterli, "The effective rank", EUSIPCO 2007.

    Args:
        s: (k,) singular values, not negative.

    Returns:
        The effective rank.
    """
    s = s.cpu().double()
    share = s / s.sum()
    return torch.exp(torch.special.entr(share).sum()).item()


def power_spectrum(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the radially averaged power spectral density of directions.

    The power is averaged over channels and over all frequencies that have one (rounded) distance from zero.

    Args:
        v: (..., c, h, w), real.

    Returns:
        The frequencies (bins,) from 0 to min(h, w) // 2, in cycles per picture, and the power (..., bins).
    """
    height, width = v.shape[-2:]
    power = torch.fft.fft2(v, norm="ortho").abs().square().mean(dim=-3)
    radius = _radius(v).round().long()
    bins = min(height, width) // 2 + 1
    weight = torch.stack([(radius == index).to(v.dtype) for index in range(bins)])
    weight = weight / weight.sum(dim=(1, 2), keepdim=True)
    return torch.arange(bins, device=v.device), torch.einsum("...hw,bhw->...b", power, weight)


def mean_power_spectrum(v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the mean of the power spectra of several directions.

    Args:
        v: (k, c, h, w), real.

    Returns:
        The frequencies (bins,) as in `power_spectrum`, and the power (bins,).
    """
    frequencies, power = power_spectrum(v)
    return frequencies, power.mean(dim=0)


def mean_frequency(v: torch.Tensor) -> torch.Tensor:
    """Compute the centre of mass of `power_spectrum`, where each frequency counts with all its power.

    Args:
        v: (..., c, h, w), real.

    Returns:
        (...) in cycles per picture.
    """
    power = torch.fft.fft2(v, norm="ortho").abs().square().sum(dim=-3)
    radius = _radius(v)
    return (power * radius).sum(dim=(-2, -1)) / power.sum(dim=(-2, -1))


def _radius(v: torch.Tensor) -> torch.Tensor:
    """The distance of each frequency from zero, in cycles per picture: (h, w)."""
    rows, columns = (torch.fft.fftfreq(size, 1 / size, device=v.device) for size in v.shape[-2:])
    return torch.hypot(rows[:, None], columns[None, :])
