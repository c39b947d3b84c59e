"""Means over faces, and their 95% bootstrap intervals."""

from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 1000

Number = list[float]  # [value, low, high]


def bootstrap(count: int, statistic: Callable[[np.ndarray], float], seed: int = 0) -> Number:
    """Compute a statistic of faces and its 95% bootstrap interval.

    Args:
        count: The number of faces.
        statistic: A function of the numbers of faces (count,), which may repeat.
        seed: The seed of the resampling.

    Returns:
        [value, low, high]. Resamples with the value NaN do not count.
    """
    resamples = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    values = np.array([statistic(faces) for faces in resamples])
    known = values[~np.isnan(values)]
    low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (np.nan, np.nan)
    return [float(statistic(np.arange(count))), float(low), float(high)]


def mean(values: Sequence[float]) -> Number:
    """The mean of one value for each face. Faces with the value NaN do not count."""
    array = np.asarray(values, dtype=float)

    def statistic(faces: np.ndarray) -> float:
        return _mean(array[faces])

    return bootstrap(len(array), statistic)


def ratio(one: Sequence[float], other: Sequence[float]) -> Number:
    """The ratio of two means over the same faces, which are resampled together."""
    above, below = np.asarray(one, dtype=float), np.asarray(other, dtype=float)

    def statistic(faces: np.ndarray) -> float:
        return _mean(above[faces]) / _mean(below[faces])

    return bootstrap(len(above), statistic)


def uniformity(values: Sequence[Sequence[float]]) -> Number:
    """The standard deviation over the mean of all values of all faces; each face has a list of values."""

    def statistic(faces: np.ndarray) -> float:
        chosen = np.concatenate([np.asarray(values[face], dtype=float) for face in faces])
        return float(chosen.std() / chosen.mean())

    return bootstrap(len(values), statistic)


def mean_of_lists(values: Sequence[Sequence[float]]) -> Number:
    """The mean of all values of all faces; each face has a list of values."""
    return ratio_of_lists(values, [[1.0] * len(some) for some in values])


def ratio_of_lists(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> Number:
    """The ratio of two sums over the same faces; each face has a list of values, which stay together."""
    above = np.array([sum(some) for some in one], dtype=float)
    below = np.array([sum(some) for some in other], dtype=float)

    def statistic(faces: np.ndarray) -> float:
        total = below[faces].sum()
        return float(above[faces].sum() / total) if total else np.nan

    return bootstrap(len(above), statistic)


def of_pairs(
    count: int, pairs: Sequence[tuple[int, int]], values: np.ndarray, statistic: Callable[..., float]
) -> Number:
    """A statistic of rows that belong to pairs of faces; faces are resampled, not pairs.

    A pair comes as often as its first face times its second face was drawn.

    Args:
        count: The number of faces.
        pairs: Two faces for each row.
        values: (rows, n) numbers.
        statistic: A function of (m, n) rows.

    Returns:
        [value, low, high].
    """
    ends = np.asarray(pairs).reshape(-1, 2)

    def of_faces(faces: np.ndarray) -> float:
        drawn = np.bincount(faces, minlength=count)
        times = drawn[ends[:, 0]] * drawn[ends[:, 1]]
        return statistic(np.repeat(values, times, axis=0)) if times.any() else np.nan

    return bootstrap(count, of_faces)


def rank_correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two arrays (n,). NaN if one of them is constant."""
    if len(one) < 2:
        return np.nan
    first, second = _ranks(one), _ranks(other)
    spread = first.std() * second.std()
    return float(((first - first.mean()) * (second - second.mean())).mean() / spread) if spread else np.nan


def _ranks(values: np.ndarray) -> np.ndarray:
    """The ranks of values (n,), from 0. Equal values share their mean rank."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = sizes.cumsum()
    return (last - (sizes + 1) / 2)[group]


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
