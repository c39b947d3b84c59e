"""How much have several bases in common? Distances of all pairs, and the angles of some of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import torch

from .basis import PullbackBasis
from .linalg.subspaces import distance_matrix, principal_angles


@dataclass(frozen=True, eq=False)
class BasisComparison:
    """What `compare_bases` found out.

    Attributes:
        distances: (n, n) geodesic distances of the bases, or (n, m) to the others, in radians; float64.
        pairs: The pairs whose angles were computed, as indices into [*bases, *others].
        angles: The principal angles of each of these pairs, in radians and ascending.
        largest_distance: The largest possible distance of two of the bases.
    """

    distances: torch.Tensor
    pairs: list[tuple[int, int]]
    angles: list[torch.Tensor]
    largest_distance: float

    @property
    def first_distance(self) -> float:
        """The distance of the first pair."""
        return self.angles[0].norm().item()


def compare_bases(
    bases: Sequence[PullbackBasis],
    others: Sequence[PullbackBasis] = (),
    *,
    side: str = "h",
    max_pairs: int | None = None,
) -> BasisComparison:
    """Compare bases with each other, or with others.

    Args:
        bases: The bases; at least two if there are no others.
        others: Compare each basis with each of these. Empty: compare the bases with each other.
        side: "h" compares their directions in feature space, "x" those in the latent, as in `subspaces`.
        max_pairs: With more pairs than this, only the angles of the first basis are computed.

    Returns:
        Their distances and angles.

    Raises:
        ValueError: There is no pair, or the bases are of different shapes on this side.
    """
    together = [*bases, *others]
    if others:
        pairs = list(product(range(len(bases)), range(len(bases), len(together))))
    else:
        pairs = list(combinations(range(len(bases)), 2))
    if not pairs:
        raise ValueError(f"A comparison needs at least two bases, got {len(together)}.")
    if max_pairs is not None and len(pairs) > max_pairs:
        pairs = [pair for pair in pairs if pair[0] == 0]
    return BasisComparison(
        distances=distance_matrix(bases, others or None, side=side),
        pairs=pairs,
        angles=[principal_angles(together[one], together[two], side=side) for one, two in pairs],
        largest_distance=math.pi / 2 * math.sqrt(min(basis.rank for basis in together)),
    )
