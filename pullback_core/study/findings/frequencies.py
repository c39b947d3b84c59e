"""Claim: directions go from coarse to fine."""

import numpy as np
import torch
from PIL.Image import Image as Picture

from ... import faces, figures, spectra
from ...basis import PullbackBasis
from ..settings import Settings
from .drawing import RISING, empty_figure
from .finding import Finding
from .statistics import Bases, bootstrap_rank_correlation


def frequencies(settings: Settings, bases: Bases) -> Finding:
    """How the mean frequency of the directions changes with the timestep."""
    columns = [[_mean_frequency(basis) for basis in bases[timestep]] for timestep in settings.timesteps]
    means = np.transpose(columns)
    timesteps = np.broadcast_to(settings.timesteps, means.shape)
    rows = [
        {"sample": sample, "timestep": timestep, "mean_frequency": means[sample, column]}
        for sample in range(settings.samples)
        for column, timestep in enumerate(settings.timesteps)
    ]
    ends = ", ".join(
        f"{value:.1f} at {timestep:g} T" for timestep, value in zip(settings.timesteps, means.mean(axis=0))
    )
    return Finding(
        name="frequencies",
        title="From coarse to fine",
        claim="Near T directions are of low frequency; the frequency rises as t falls.",
        measure="rank correlation of timestep and mean frequency of the directions, over samples and "
        "timesteps",
        number=bootstrap_rank_correlation(timesteps, means),
        sign=-1,
        neutral=0.0,
        remarks=f"Mean frequency in cycles per picture: {ends}.",
        figure=_figure(settings, bases),
        table=rows,
    )


def _mean_frequency(basis: PullbackBasis) -> float:
    return spectra.mean_frequency(faces.decode_latent(basis.v)).mean().item()


def _figure(settings: Settings, bases: Bases) -> Picture:
    figure, axes = empty_figure(
        "Frequencies of the directions", "cycles per picture", "power, relative to its mean", yscale="log"
    )
    for timestep, color in zip(settings.four_timesteps, RISING):
        directions = torch.cat([faces.decode_latent(basis.v) for basis in bases[timestep]])
        positions, power = spectra.power_spectrum(directions)
        power = power.mean(dim=0)
        axes.plot(positions, power / power.mean(), "o-", ms=3, color=color, label=f"{timestep:g} T")
    axes.legend(frameon=False)
    return figures.figure_to_pil(figure)
