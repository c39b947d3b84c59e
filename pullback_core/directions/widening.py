"""A basis together with what else its search learned, so that more can be mixed of it."""

from dataclasses import replace

import torch

from ..basis import PullbackBasis
from ..linalg.precision import without_autocast
from .sums import sums_of_known

MOST = 64  # vectors that are added
# Vectors of a smaller response, as a share of the largest, are left out: their moves are long, and what the
# first order foretells of a long move is wrong.
NEGLIGIBLE = 0.01


@without_autocast()
def wide_basis(basis: PullbackBasis) -> PullbackBasis:
    """Add to the directions of a basis the rest of what its search space knows.

    The added vectors are orthonormal, and orthogonal to all directions. So a mixture of everything is one of
    the directions and, apart from them, one of the rest. Products with the Jacobian of what the search
    multiplied are known, so the model is not evaluated.

    Args:
        basis: Any basis. The rest is known if it is of the feature "picture" and kept its search space.

    Returns:
        A basis whose first directions are those of `basis`, with their names, and without a search space. At
        most 64 vectors follow, by falling response. Where no more is known, none follow.
    """
    plain = replace(basis, search_space=None)
    if basis.search_space is None or basis.pictures is not None:
        return plain
    q, products = (rows.detach().flatten(1).cpu().double() for rows in basis.known_products())
    directions = basis.v.detach().flatten(1).cpu().double() @ q.T
    # The rows of `free` are the mixtures of q that are orthogonal to all directions.
    _, vectors = torch.linalg.eigh(directions.T @ directions)
    free = vectors[:, : len(q) - int(torch.linalg.matrix_rank(directions))].T
    if not len(free):
        return plain
    turn, responses, _ = torch.linalg.svd(free @ products, full_matrices=False)
    kept = responses[:MOST] > NEGLIGIBLE * basis.s.max().cpu().double()
    weights = (turn.T @ free)[:MOST][kept]
    if not len(weights):
        return plain
    # The sign that adds more than it takes, as in rotated bases: that of a decomposition is left to chance.
    signs = (weights @ products).pow(3).sum(dim=1).sign()
    rest = sums_of_known(basis, torch.where(signs < 0, -1.0, 1.0)[:, None] * weights, basis.kind)
    return replace(
        plain,
        v=torch.cat([basis.v, rest.v]),
        s=torch.cat([basis.s, rest.s]),
        u=torch.cat([basis.u, rest.u]),
        residuals=torch.cat([basis.residuals, rest.residuals]),
        names=[*basis.names, *[""] * rest.rank] if basis.names else [],
    )
