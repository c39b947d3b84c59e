"""Claim: few directions dominate."""

import numpy as np
import torch
from PIL.Image import Image as Picture

from ... import figures, spectra
from ..settings import Point, Settings
from ..store import Store
from .drawing import RISING, empty_figure
from .finding import Finding
from .statistics import bootstrap_mean


def spectrum(store: Store) -> Finding:
    """How much of the squared singular values belongs to the first quarter of the directions."""
    settings = store.settings
    values = [_singular_values(store, timestep) for timestep in settings.four_timesteps]
    rows = [
        {
            "sample": sample,
            "timestep": timestep,
            "effective_rank": spectra.effective_rank(torch.from_numpy(row)),
            **{f"s_{index}": value for index, value in enumerate(row, 1)},
        }
        for timestep, matrix in zip(settings.four_timesteps, values)
        for sample, row in enumerate(matrix)
    ]
    first = settings.deep_rank // 4
    shares = [(matrix**2)[:, :first].sum(axis=1) / (matrix**2).sum(axis=1) for matrix in values]
    effective_rank = np.mean([row["effective_rank"] for row in rows])
    return Finding(
        name="spectrum",
        title="Few directions dominate",
        claim="The singular values fall quickly: few directions dominate.",
        measure=f"share of the squared singular values, of the first {settings.deep_rank}, that belongs to "
        f"the first {first}",
        number=bootstrap_mean(np.mean(shares, axis=0)),
        sign=+1,
        neutral=0.5,
        remarks=f"Equal values would give 0.25. The effective rank of the first {settings.deep_rank} is "
        f"{effective_rank:.1f} on average.",
        figure=_figure(settings, values),
        table=rows,
    )


def _singular_values(store: Store, timestep: float) -> np.ndarray:
    """The singular values (samples, rank) at one timestep."""
    settings = store.settings
    bases = [
        store.basis(Point("faces", sample, timestep, rank=settings.deep_rank))
        for sample in range(settings.few)
    ]
    return torch.stack([basis.s for basis in bases]).double().numpy()


def _figure(settings: Settings, values: list[np.ndarray]) -> Picture:
    figure, axes = empty_figure("Singular values of the Jacobian", "direction", "s / s_1", yscale="log")
    number = range(1, settings.deep_rank + 1)
    for timestep, matrix, color in zip(settings.four_timesteps, values, RISING):
        relative = matrix / matrix[:, :1]
        geometric_mean = np.exp(np.log(relative).mean(axis=0))
        axes.plot(number, geometric_mean, color=color, label=f"{timestep:g} T")
    axes.legend(frameon=False)
    return figures.figure_to_pil(figure)
