"""Claim, not of the paper: neighbouring blocks of the UNet agree."""

import numpy as np

from ... import figures
from ...linalg import subspaces
from ..settings import Point
from ..store import Store
from .finding import Finding
from .statistics import bootstrap_rank_correlation, chance_distance, pairs, upper_triangle


def blocks(store: Store) -> Finding:
    """How the distance between the bases of two blocks depends on their distance in the UNet."""
    settings = store.settings
    features, rank = settings.features, settings.rank
    matrices = np.array(
        [
            [_distances(store, sample, timestep) for timestep in settings.four_timesteps]
            for sample in range(settings.few)
        ]
    )
    means = matrices.mean(axis=(0, 1))
    distances = upper_triangle(matrices.mean(axis=1))
    positions = np.arange(len(features))
    gaps = upper_triangle(np.abs(np.subtract.outer(positions, positions)))
    dimension = store.basis(Point("faces", 0, settings.early, rank=rank)).v[0].numel()
    chance = chance_distance(rank, dimension)
    return Finding(
        name="blocks",
        title="Neighbouring blocks agree",
        claim="Not of the paper: blocks that follow each other in the UNet find similar directions.",
        measure="rank correlation of the distance between two blocks within the UNet and the distance of "
        "their bases in latent space",
        number=bootstrap_rank_correlation(np.broadcast_to(gaps, distances.shape), distances),
        sign=+1,
        neutral=0.0,
        remarks=f"Random subspaces of latent space are {chance:.2f} apart.",
        figure=figures.heat_map(
            means, features, features, "Distance between blocks, in latent space", "geodesic distance"
        ),
        table=[
            {"block": block, "other": other, "distance": distance}
            for (block, other), distance in zip(pairs(features), upper_triangle(means))
        ],
    )


def _distances(store: Store, sample: int, timestep: float) -> np.ndarray:
    """(features, features) distances between the bases of one x_t, in latent space."""
    settings = store.settings
    bases = [
        store.basis(Point("faces", sample, timestep, feature=feature, rank=settings.rank))
        for feature in settings.features
    ]
    return subspaces.distance_matrix(bases, side="x").numpy()
