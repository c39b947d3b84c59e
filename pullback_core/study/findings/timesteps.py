"""Claim: distant timesteps have distant tangent spaces."""

import numpy as np

from ... import figures
from ...linalg import subspaces
from ..settings import Settings
from .finding import Finding
from .statistics import Bases, bootstrap_rank_correlation, pairs, upper_triangle


def between_timesteps(settings: Settings, bases: Bases) -> Finding:
    """How the distance between two timesteps of one sample depends on the gap in time."""
    matrices = np.array([_distances(settings, bases, sample) for sample in range(settings.samples)])
    distances = upper_triangle(matrices)
    gaps = upper_triangle(np.abs(np.subtract.outer(settings.timesteps, settings.timesteps)))
    names = [f"{timestep:g} T" for timestep in settings.timesteps]
    smallest = distances[:, gaps == gaps.min()].mean()
    largest = distances[:, gaps == gaps.max()].mean()
    return Finding(
        name="timesteps",
        title="Distant timesteps, distant spaces",
        claim="The distance between one sample's tangent spaces grows with the gap in time.",
        measure="rank correlation of gap and distance, over samples and pairs of timesteps",
        number=bootstrap_rank_correlation(np.broadcast_to(gaps, distances.shape), distances),
        sign=+1,
        neutral=0.0,
        remarks=f"From {smallest:.2f} at the smallest gap to {largest:.2f} at the largest.",
        figure=figures.heat_map(
            matrices.mean(axis=0), names, names, "One sample at two timesteps", "geodesic distance"
        ),
        table=[
            {"timestep": timestep, "other": other, "distance": distance}
            for (timestep, other), distance in zip(pairs(settings.timesteps), distances.mean(axis=0))
        ],
    )


def _distances(settings: Settings, bases: Bases, sample: int) -> np.ndarray:
    """(timesteps, timesteps) distances between the bases of one sample."""
    return subspaces.distance_matrix([bases[timestep][sample] for timestep in settings.timesteps]).numpy()
