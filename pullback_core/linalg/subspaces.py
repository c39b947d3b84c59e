"""Angles, distances and means of subspaces, such as the tangent spaces that bases span.

>>> import math, torch
>>> line = torch.tensor([[1.0, 0.0, 0.0]])
>>> other = torch.tensor([[math.cos(0.3), math.sin(0.3), 0.0]])
>>> [round(angle, 4) for angle in principal_angles(line, other).tolist()]
[0.3]
>>> round(geodesic_distance(frechet_mean([line, other]), line), 4)
0.15

A subspace is given by independent rows (k, ...), or by a basis. `side` says which rows of a basis are meant:
"h" is its u, its directions in feature space, as in the paper; "x" is its v, its directions in the latent.
Only the v of different features can be compared.
"""

from collections.abc import Sequence
from typing import Protocol

import torch

ORTHOGONAL = 1e-12  # cosines below this count as zero
NOT_ORTHONORMAL = 0.01  # rows with an inner product so far from 0 or 1 are made orthonormal first
DEPENDENT = (
    1e-6  # rows with a singular value below this share of the largest span no subspace of their number
)


class TwoSided(Protocol):
    """A basis: independent u (k, *out_shape) and v (k, *in_shape)."""

    @property
    def u(self) -> torch.Tensor:
        """The directions in feature space."""
        ...

    @property
    def v(self) -> torch.Tensor:
        """The directions in the latent."""
        ...


def principal_angles(
    a: torch.Tensor | TwoSided, b: torch.Tensor | TwoSided, *, side: str = "h"
) -> torch.Tensor:
    """Compute the angles between two subspaces.

    Small angles come from sines and large ones from cosines, so both are accurate (Knyazev and Argentati,
    SIAM J. Sci. Comput. 23, 2002, algorithm 3.1).

    Args:
        a: A basis or orthonormal rows (k_a, ...).
        b: A basis or orthonormal rows (k_b, ...) of the same dimension.
        side: "h" for the u of bases, "x" for their v.

    Returns:
        (min(k_a, k_b),) angles in radians, ascending in [0, pi/2], float64 on the CPU.

    Raises:
        ValueError: The dimensions differ, or the side is unknown.
    """
    rows_a, rows_b = _rows(a, side), _rows(b, side)
    if rows_a.shape[1] != rows_b.shape[1]:
        raise ValueError(
            "The two subspaces lie in spaces of different dimension, "
            f"{rows_a.shape[1]} and {rows_b.shape[1]}."
        )
    if len(rows_a) < len(rows_b):
        rows_a, rows_b = rows_b, rows_a
    cosines = torch.linalg.svdvals(rows_a @ rows_b.T).clamp(max=1)
    sines = torch.linalg.svdvals(rows_b - (rows_b @ rows_a.T) @ rows_a).flip(0).clamp(max=1)
    return torch.where(cosines**2 < 0.5, cosines.acos(), sines.asin())


def geodesic_distance(a: torch.Tensor | TwoSided, b: torch.Tensor | TwoSided, *, side: str = "h") -> float:
    """Compute the distance of two subspaces on the Grassmannian.

    It is sqrt(sum theta_i^2) of their principal angles theta_i, and at most pi/2 sqrt(k). Two random
    subspaces of a space of many more dimensions come near that.

    Args:
        a: A basis or orthonormal rows (k_a, ...).
        b: A basis or orthonormal rows (k_b, ...) of the same dimension.
        side: "h" for the u of bases, "x" for their v.

    Returns:
        The distance, in radians.
    """
    return principal_angles(a, b, side=side).norm().item()


def distance_matrix(
    bases: Sequence[torch.Tensor | TwoSided],
    others: Sequence[torch.Tensor | TwoSided] | None = None,
    *,
    side: str = "h",
) -> torch.Tensor:
    """Compute the geodesic distances between all bases, or from each of them to each of `others`.

    Args:
        bases: N bases or blocks of orthonormal rows.
        others: M more; None compares the bases with each other.
        side: "h" for the u of bases, "x" for their v.

    Returns:
        (n, n) or (n, m) float64.
    """
    if others is not None:
        distances = [[geodesic_distance(basis, other, side=side) for other in others] for basis in bases]
        return torch.tensor(distances, dtype=torch.float64)
    matrix = torch.zeros(len(bases), len(bases), dtype=torch.float64)
    for row in range(len(bases)):
        for column in range(row):
            distance = geodesic_distance(bases[row], bases[column], side=side)
            matrix[row, column] = matrix[column, row] = distance
    return matrix


def frechet_mean(
    bases: Sequence[torch.Tensor | TwoSided],
    *,
    side: str = "h",
    tolerance: float = 1e-8,
    max_steps: int = 200,
) -> torch.Tensor:
    """Find the subspace with the least sum of squared geodesic distances to the given ones.

    Gradient descent with the exponential and logarithmic maps of the Grassmannian (Absil, Mahony, Sepulchre,
    Acta Appl. Math. 80, 2004, section 3.5). The mean is well defined while the subspaces lie within pi/4 of a
    common centre.

    Args:
        bases: Bases or orthonormal rows (k, ...), all of one shape.
        side: "h" for the u of bases, "x" for their v.
        tolerance: The length of the last step, in radians.
        max_steps: The search gives up after so many steps.

    Returns:
        Orthonormal rows (k, n) float64 on the CPU; n is the flattened dimension.

    Raises:
        ValueError: The list is empty, the shapes differ, or the subspaces are too far apart to have a mean.
    """
    rows = [_rows(basis, side) for basis in bases]
    if not rows:
        raise ValueError("The mean of no bases at all is undefined.")
    if any(one.shape != rows[0].shape for one in rows):
        raise ValueError(f"All bases must have one shape, got {sorted({tuple(one.shape) for one in rows})}.")
    # The mean by chords is near, so the descent begins there.
    mean = torch.linalg.svd(torch.cat(rows), full_matrices=False)[2][: len(rows[0])]
    for _ in range(max_steps):
        tangents = [_log(mean, one) for one in rows]
        step = sum(tangents[1:], tangents[0]) / len(rows)
        mean = _exp(mean, step)
        if step.norm() <= tolerance:
            return mean
    raise ValueError(f"No mean was found in {max_steps} steps; the subspaces are too far apart to have one.")


def _log(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """The logarithmic map: the tangent at span(x) that leads to span(y). All are rows (k, n)."""
    inner = y @ x.T
    if torch.linalg.svdvals(inner)[-1] < ORTHOGONAL:
        raise ValueError(
            "Two of the subspaces are orthogonal in some direction, so no single shortest path joins them."
        )
    q, s, r = torch.linalg.svd((torch.linalg.solve(inner, y) - x).T, full_matrices=False)
    return (q * s.atan() @ r).T


def _exp(x: torch.Tensor, tangent: torch.Tensor) -> torch.Tensor:
    """The exponential map: where the geodesic from span(x) along a tangent arrives. All are rows (k, n)."""
    q, s, r = torch.linalg.svd(tangent.T, full_matrices=False)
    moved = (x.T @ r.T * s.cos() + q * s.sin()) @ r
    return torch.linalg.qr(moved)[0].T


def _rows(basis: torch.Tensor | TwoSided, side: str) -> torch.Tensor:
    """Orthonormal rows of a subspace, (k, n), in float64 on the CPU: not every device has float64."""
    if side not in ("h", "x"):
        raise ValueError(f"The side is 'h' (features) or 'x' (latents), got {side!r}.")
    if isinstance(basis, torch.Tensor):
        rows = basis
    else:
        rows = basis.u if side == "h" else basis.v
    if rows.ndim < 2:
        raise ValueError(f"A subspace is given by rows (k, ...), got shape {tuple(rows.shape)}.")
    return _orthonormal(rows.flatten(1).cpu().double())


def _orthonormal(rows: torch.Tensor) -> torch.Tensor:
    """Orthonormal rows with the same span. Rows that are nearly orthonormal stay as they are."""
    gram = rows @ rows.T
    if (gram - torch.eye(len(rows), dtype=rows.dtype)).abs().max() <= NOT_ORTHONORMAL:
        return rows
    _, s, spanning = torch.linalg.svd(rows, full_matrices=False)
    if len(s) < len(rows) or s[-1] <= DEPENDENT * s[0]:
        raise ValueError(
            f"These {len(rows)} directions depend linearly on each other, so they do not span a subspace of "
            "their number; select some of them."
        )
    return spanning
