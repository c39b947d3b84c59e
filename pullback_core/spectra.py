"""How many directions matter, and how fine they are: effective rank, power spectra and frequencies."""

import torch


def effective_rank(s):
    """How many directions matter: exp of the entropy of s / sum(s), from 1 to len(s), a float.

    s: (k,) singular values, not negative (Roy and Vetterli, "The effective rank", EUSIPCO 2007). Only the values that were
    computed count, so compare bases of one rank alone.
    """
    s = s.cpu().double()
    share = s / s.sum()
    return torch.exp(torch.special.entr(share).sum()).item()


def power_spectrum(v):
    """Radially averaged power spectral density of directions.

    v: (..., c, h, w), real. The power is averaged over channels and over all frequencies at one (rounded) distance
    from zero, counted in cycles per picture.
    Returns (frequencies (bins,) from 0 to min(h, w) // 2, power (..., bins)).
    """
    height, width = v.shape[-2:]
    power = torch.fft.fft2(v, norm="ortho").abs().square().mean(dim=-3)
    radius = _radius(v).round().long()
    bins = min(height, width) // 2 + 1
    weight = torch.stack([(radius == index).to(v.dtype) for index in range(bins)])
    weight = weight / weight.sum(dim=(1, 2), keepdim=True)
    return torch.arange(bins, device=v.device), torch.einsum("...hw,bhw->...b", power, weight)


def mean_frequency(v):
    """The centre of mass of `power_spectrum`, each frequency with all its power, in cycles per picture. v: (..., c, h, w) -> (...)."""
    power = torch.fft.fft2(v, norm="ortho").abs().square().sum(dim=-3)
    radius = _radius(v)
    return (power * radius).sum(dim=(-2, -1)) / power.sum(dim=(-2, -1))


def _radius(v):
    rows, columns = (torch.fft.fftfreq(size, 1 / size, device=v.device) for size in v.shape[-2:])
    return torch.hypot(rows[:, None], columns[None, :])
