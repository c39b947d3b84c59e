"""Claim: the simpler the data, the more alike its samples."""

from typing import Any

import numpy as np
from PIL.Image import Image as Picture

from ... import faces, figures
from ..settings import Settings
from .drawing import BLUE, ORANGE, draw_band, empty_figure
from .finding import Finding, Interval
from .statistics import Distances, bootstrap, distance_rows, mean_distances, pair_mean


def complexity(settings: Settings, matrices: dict[str, Distances]) -> Finding:
    """How the distances between samples of the simple data compare with those of the rich data."""
    means = {data: mean_distances(by_timestep) for data, by_timestep in matrices.items()}
    rows: list[dict[str, Any]] = []
    for data, numbers in means.items():
        rows += distance_rows(numbers, data=data)
    return Finding(
        name="complexity",
        title="Simpler data, more alike",
        claim="The simpler the data, the more alike the tangent spaces of its samples.",
        measure="mean distance between samples of the simple data less that of the rich data, over all "
        "timesteps",
        number=_difference(settings, matrices),
        sign=-1,
        neutral=0.0,
        remarks="The simple data are expressions of one person; their model is the model of all faces, "
        "trained on.",
        figure=_figure(settings, means),
        table=rows,
    )


def _difference(settings: Settings, matrices: dict[str, Distances]) -> Interval:
    rich, simple = matrices.values()

    # Samples of one seed start from the same noise in both models, so they are resampled together.
    def statistic(indices: np.ndarray) -> float:
        differences = [
            pair_mean(simple[timestep], indices) - pair_mean(rich[timestep], indices)
            for timestep in settings.timesteps
        ]
        return float(np.mean(differences))

    return bootstrap(settings.samples, statistic)


def _figure(settings: Settings, means: dict[str, dict[float, Interval]]) -> Picture:
    figure, axes = empty_figure(
        "Distance between samples, of two data sets", "timestep / T", "geodesic distance"
    )
    for (data, numbers), color in zip(means.items(), (BLUE, ORANGE)):
        label = f"{data} ({len(faces.DATA[data])} attributes vary)"
        draw_band(axes, settings.timesteps, list(numbers.values()), color, label)
    axes.legend(frameon=False)
    return figures.figure_to_pil(figure)
