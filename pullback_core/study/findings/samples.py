"""Claim: samples share directions near T."""

from typing import Any

import numpy as np
from PIL.Image import Image as Picture

from ... import figures
from ..settings import Settings
from .drawing import BLUE, GREY, ORANGE, draw_band, empty_figure
from .finding import Finding, Interval
from .statistics import (
    Bases,
    Distances,
    bootstrap,
    chance_distance,
    distance_rows,
    distances_over_time,
    mean_distances,
    pair_mean,
)


def between_samples(settings: Settings, bases: Bases, feature_distances: Distances) -> Finding:
    """How the distance between samples changes from the last timestep to the first.

    Args:
        settings: The settings of the study.
        bases: The bases of the samples, for each timestep.
        feature_distances: The distances between their features, for each timestep.

    Returns:
        The finding.
    """
    distances = {"h": feature_distances, "x": distances_over_time(bases, "x")}
    means = {side: mean_distances(matrices) for side, matrices in distances.items()}
    first, last = settings.timesteps[0], settings.timesteps[-1]
    differences = {side: _difference(matrices[last], matrices[first]) for side, matrices in distances.items()}
    chance = chance_distance(settings.rank, bases[first][0].u[0].numel())
    rows: list[dict[str, Any]] = []
    for side, numbers in means.items():
        rows += distance_rows(numbers, space=side)
    latent = differences["x"]
    return Finding(
        name="samples",
        title="Samples share directions near T",
        claim="Tangent spaces of different samples are alike near T and part as t falls.",
        measure=f"mean distance at {last:g} T less mean distance at {first:g} T, in feature space",
        number=differences["h"],
        sign=-1,
        neutral=0.0,
        remarks=f"In latent space the same difference is {latent}: there the claim "
        f"{latent.verdict(-1, 0.0)}. Random subspaces of feature space are {chance:.2f} apart.",
        figure=_figure(settings, means, chance),
        table=rows,
    )


def _difference(one: np.ndarray, other: np.ndarray) -> Interval:
    """The mean distance of one matrix less that of another."""

    def statistic(indices: np.ndarray) -> float:
        return pair_mean(one, indices) - pair_mean(other, indices)

    return bootstrap(len(one), statistic)


def _figure(settings: Settings, means: dict[str, dict[float, Interval]], chance: float) -> Picture:
    figure, axes = empty_figure(
        "Distance between the tangent spaces of different samples", "timestep / T", "geodesic distance"
    )
    draw_band(axes, settings.timesteps, list(means["h"].values()), BLUE, "in feature space")
    draw_band(axes, settings.timesteps, list(means["x"].values()), ORANGE, "in latent space")
    axes.axhline(chance, color=GREY, ls="--", label="random subspaces of feature space")
    axes.legend(frameon=False)
    return figures.figure_to_pil(figure)
