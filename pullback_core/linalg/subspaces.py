"""Measuring local bases: angles and distances between tangent spaces, their mean, spectra, the frequencies of directions.

A tangent space is a `PullbackBasis` or orthonormal rows (k, ...). `space` says which side of a basis is meant: "h", its u, as in
the paper; or "x", its v, which alone can be compared between different features.
"""

import torch


def principal_angles(a, b, *, space="h"):
    """Angles between two subspaces, ascending, in radians.

    a, b: `PullbackBasis` or orthonormal rows (k, ...). Returns (min(k_a, k_b),) float64 in [0, pi/2], on the CPU.
    Small angles come from sines and large ones from cosines, so both are accurate
    (Knyazev and Argentati, SIAM J. Sci. Comput. 23, 2002, algorithm 3.1).
    """
    a, b = _rows(a, space), _rows(b, space)
    if a.shape[1] != b.shape[1]:
        raise ValueError(
            f"The two subspaces lie in spaces of different dimension, {a.shape[1]} and {b.shape[1]}."
        )
    if len(a) < len(b):
        a, b = b, a
    cosines = torch.linalg.svdvals(a @ b.T).clamp(max=1)
    sines = torch.linalg.svdvals(b - (b @ a.T) @ a).flip(0).clamp(max=1)
    return torch.where(cosines**2 < 0.5, cosines.acos(), sines.asin())


def geodesic_distance(a, b, *, space="h"):
    """Distance of two subspaces on the Grassmannian: sqrt(sum theta_i^2) of their principal angles, a float.

    At most pi/2 sqrt(k); two random subspaces of a space of many more dimensions come near that.
    """
    return principal_angles(a, b, space=space).norm().item()


def distance_matrix(bases, others=None, *, space="h"):
    """Geodesic distances between all bases, or from each of them to each of `others`: (n, n) or (n, m) float64."""
    if others is not None:
        return torch.tensor(
            [[geodesic_distance(one, other, space=space) for other in others] for one in bases],
            dtype=torch.float64,
        )
    distances = torch.zeros(len(bases), len(bases), dtype=torch.float64)
    for row in range(len(bases)):
        for column in range(row):
            distances[row, column] = distances[column, row] = geodesic_distance(
                bases[row], bases[column], space=space
            )
    return distances


def frechet_mean(bases, *, space="h", tolerance=1e-8, max_steps=200):
    """The subspace with the least sum of squared geodesic distances to the given ones.

    bases: a list of `PullbackBasis` or orthonormal rows (k, ...), all of one shape.
    Gradient descent with the exponential and logarithmic maps of the Grassmannian (Absil, Mahony,
    Sepulchre, Acta Appl. Math. 80, 2004, section 3.5), which is well defined while the subspaces lie
    within pi/4 of a common centre.
    Returns orthonormal rows (k, n) float64 on the CPU, n the flattened dimension.
    Raises ValueError for an empty list, unlike shapes, or subspaces too far apart to have a mean.
    """
    rows = [_rows(basis, space) for basis in bases]
    if not rows:
        raise ValueError("The mean of no bases at all is undefined.")
    if any(one.shape != rows[0].shape for one in rows):
        raise ValueError(f"All bases must have one shape, got {sorted({tuple(one.shape) for one in rows})}.")
    mean = torch.linalg.svd(torch.cat(rows), full_matrices=False)[2][
        : len(rows[0])
    ]  # the nearest by chords: a good start
    for _ in range(max_steps):
        step = sum(_log(mean, one) for one in rows) / len(rows)
        mean = _exp(mean, step)
        if step.norm() <= tolerance:
            return mean
    raise ValueError(f"No mean was found in {max_steps} steps; the subspaces are too far apart to have one.")


def _log(x, y):
    """The tangent at span(x) that leads to span(y), both (k, n) rows."""
    inner = y @ x.T
    if torch.linalg.svdvals(inner)[-1] < 1e-12:
        raise ValueError(
            "Two of the subspaces are orthogonal in some direction, so no single shortest path joins them."
        )
    q, s, r = torch.linalg.svd((torch.linalg.solve(inner, y) - x).T, full_matrices=False)
    return (q * s.atan() @ r).T


def _exp(x, tangent):
    q, s, r = torch.linalg.svd(tangent.T, full_matrices=False)
    moved = (x.T @ r.T * s.cos() + q * s.sin()) @ r
    return torch.linalg.qr(moved)[0].T


def _rows(basis, space):
    if space not in ("h", "x"):
        raise ValueError(f"The space is 'h' (features) or 'x' (latents), got {space!r}.")
    rows = getattr(basis, "u" if space == "h" else "v", basis)
    if rows.ndim < 2:
        raise ValueError(f"A subspace is given by rows (k, ...), got shape {tuple(rows.shape)}.")
    return rows.flatten(1).cpu().double()  # not every device has float64
