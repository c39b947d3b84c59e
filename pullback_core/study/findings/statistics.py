"""Statistics that several findings share."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ...basis import PullbackBasis
from ...linalg import subspaces
from .finding import Interval

RESAMPLES = 1000
CHANCE_PAIRS = 20

Bases = dict[float, list[PullbackBasis]]  # timestep -> the basis of each sample
Distances = dict[float, np.ndarray]  # timestep -> (samples, samples)


def bootstrap(count: int, statistic: Callable[[np.ndarray], float], seed: int = 0) -> Interval:
    """Compute a statistic and its 95% bootstrap interval.

    Args:
        count: The number of samples.
        statistic: A function of the numbers of samples (count,), which may repeat.
        seed: The seed of the resampling.

    Returns:
        The statistic of all samples, and the interval. Resamples with the value NaN do not count.
    """
    resamples = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    low, high = np.nanquantile([statistic(indices) for indices in resamples], (0.025, 0.975))
    return Interval(float(statistic(np.arange(count))), float(low), float(high))


def pair_mean(distances: np.ndarray, indices: np.ndarray) -> float:
    """The mean distance between different samples.

    Args:
        distances: (samples, samples).
        indices: (n,) numbers of samples, which may repeat.

    Returns:
        The mean. NaN if all numbers are equal.
    """
    chosen = distances[np.ix_(indices, indices)]
    return chosen[indices[:, None] != indices[None, :]].mean() if len(set(indices)) > 1 else np.nan


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two arrays of one shape."""
    from scipy.stats import spearmanr  # slow to import

    result: Any = spearmanr(np.ravel(one), np.ravel(other))
    return float(result.statistic)


def bootstrap_rank_correlation(one: np.ndarray, other: np.ndarray) -> Interval:
    """The rank correlation of two arrays (samples, ...), resampling samples."""

    def statistic(indices: np.ndarray) -> float:
        return rank_correlation(one[indices], other[indices])

    return bootstrap(len(one), statistic)


def bootstrap_mean(values: np.ndarray) -> Interval:
    """The mean of an array (samples,), resampling samples."""

    def statistic(indices: np.ndarray) -> float:
        return values[indices].mean()

    return bootstrap(len(values), statistic)


def distances_over_time(bases: Bases, side: str = "h") -> Distances:
    """The distances between the bases of all samples, at each timestep.

    Args:
        bases: The basis of each sample, at each timestep.
        side: As in `linalg.subspaces`.

    Returns:
        (samples, samples) distances at each timestep.
    """
    return {timestep: subspaces.distance_matrix(some, side=side).numpy() for timestep, some in bases.items()}


def mean_distances(matrices: Distances) -> dict[float, Interval]:
    """The mean distance between different samples, at each timestep."""
    return {timestep: _mean_distance(matrix) for timestep, matrix in matrices.items()}


def _mean_distance(matrix: np.ndarray) -> Interval:
    def statistic(indices: np.ndarray) -> float:
        return pair_mean(matrix, indices)

    return bootstrap(len(matrix), statistic)


def distance_rows(means: dict[float, Interval], **columns: Any) -> list[dict[str, Any]]:
    """Rows of a table of `mean_distances`. `columns` are the same in each row."""
    return [
        {**columns, "timestep": timestep, "distance": number.value, "low": number.low, "high": number.high}
        for timestep, number in means.items()
    ]


def chance_distance(rank: int, dimension: int) -> float:
    """The mean distance between two random subspaces.

    Args:
        rank: The dimension of the subspaces.
        dimension: The dimension of the space.

    Returns:
        The mean over a few pairs.
    """
    generator = torch.Generator().manual_seed(0)
    distances = []
    for _ in range(CHANCE_PAIRS):
        one = _random_subspace(rank, dimension, generator)
        other = _random_subspace(rank, dimension, generator)
        distances.append(subspaces.geodesic_distance(one, other))
    return float(np.mean(distances))


def _random_subspace(rank: int, dimension: int, generator: torch.Generator) -> torch.Tensor:
    """Orthonormal rows (rank, dimension)."""
    matrix = torch.randn(dimension, rank, generator=generator, dtype=torch.float64)
    return torch.linalg.qr(matrix)[0].T


def upper_triangle(matrices: np.ndarray) -> np.ndarray:
    """The entries above the diagonal: (..., n, n) -> (..., n * (n - 1) / 2)."""
    rows, columns = np.triu_indices(matrices.shape[-1], 1)
    return matrices[..., rows, columns]


def pairs(items: Sequence[Any]) -> list[tuple[Any, Any]]:
    """All pairs of items, in the order of `upper_triangle`."""
    return list(itertools.combinations(items, 2))
