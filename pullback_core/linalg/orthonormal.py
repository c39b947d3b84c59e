"""Rows of a matrix as vectors: random rows, rows of length 1, rows that are orthogonal to each other."""

import torch

DEPENDENT = 1e-4  # eigenvalues of a Gram matrix below this share of the largest are lost in rounding


def random_rows(count: int, size: int, generator: torch.Generator, like: torch.Tensor) -> torch.Tensor:
    """Draw a (count, size) matrix of standard normal numbers, in the dtype and on the device of `like`.

    The numbers are drawn on the CPU whatever the device is, so that a seed means the same vectors everywhere.

    Args:
        count: The number of rows.
        size: The length of a row.
        generator: A generator of the CPU.
        like: A tensor with the dtype and the device of the result.

    Returns:
        (count, size) random rows.
    """
    return torch.randn(count, size, generator=generator, dtype=torch.float64).to(like.dtype).to(like.device)


def orthonormal_rows(block: torch.Tensor, known: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Orthonormalise the (b, n) rows of `block` against the (k, n) orthonormal rows `known` and each other.

    A row that vanishes, because the rows before it span it, is replaced by a random one. So a search goes on
    in what it has not seen yet.

    Args:
        block: (b, n) rows.
        known: (k, n) orthonormal rows.
        generator: A generator of the CPU, for the random rows.

    Returns:
        (b, n) orthonormal rows. Together with `known` they span what `known` and `block` span.
    """
    threshold = 1e3 * torch.finfo(block.dtype).eps
    rows = known
    for row in block:
        rest = project_out(unit_row(row), rows)
        while not rest.norm() > threshold:
            rest = project_out(unit_row(random_rows(1, len(row), generator, row)[0]), rows)
        # The second projection removes what rounding left of `rows` in the first one.
        rows = torch.cat([rows, unit_row(project_out(unit_row(rest), rows))[None]])
    return rows[len(known) :]


def unit_row(row: torch.Tensor) -> torch.Tensor:
    """Scale a row (n,) to length 1. A row of zeros stays zero."""
    # The entries are brought near 1 first, because their squares may leave the range of the dtype.
    row = row / row.abs().max().clamp(min=torch.finfo(row.dtype).tiny)
    return row / row.norm().clamp(min=torch.finfo(row.dtype).tiny)


def project_out(row: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Remove from a row (n,) its part in the span of orthonormal rows (k, n)."""
    return row - (basis @ row) @ basis


def orthonormal_mixture(rows: torch.Tensor) -> torch.Tensor:
    """Find the mixtures of rows that are orthonormal.

    Args:
        rows: (k, n), which may depend on each other.

    Returns:
        (j, k) in float64 on the CPU: this matrix times the rows is orthonormal and spans what they span.
    """
    values, vectors = torch.linalg.eigh((rows @ rows.T).cpu().double())
    kept = values > DEPENDENT * values[-1]
    return (vectors[:, kept] / values[kept].sqrt()).T
