"""Everything that a basis knows of its Jacobian, as products of orthonormal vectors."""

from dataclasses import replace

import torch

from ..basis import PullbackBasis
from ..basis_checks import SINGULAR

DEPENDENT = 1e-6  # known vectors whose Gram matrix has an eigenvalue below this share depend on each other


def orthonormal_known(basis: PullbackBasis) -> tuple[torch.Tensor, torch.Tensor]:
    """Orthonormal vectors and their products with the Jacobian of a basis of any kind.

    Args:
        basis: Any basis.

    Returns:
        (k, n) orthonormal vectors q and (k, m) J q, flat, in float64 on the CPU.
    """
    q, images = (rows.flatten(1).cpu().double() for rows in basis.known_products())
    return _orthonormal(q, images)


def as_singular(basis: PullbackBasis) -> PullbackBasis:
    """The singular triplets of a Jacobian within the span of the directions of a basis.

    Args:
        basis: A basis of any kind.

    Returns:
        A basis of kind "singular" whose v span the same space, without names and search space. It is `basis`
        itself if that is of this kind. It has fewer directions where those of `basis` depend on each other.

    Raises:
        ValueError: The directions do nothing to the feature.
    """
    if basis.kind == SINGULAR:
        return basis
    changes = basis.s.view(-1, *[1] * (basis.u.ndim - 1)) * basis.u
    q, images = _orthonormal(basis.v.flatten(1).cpu().double(), changes.flatten(1).cpu().double())
    left, s, u = torch.linalg.svd(images, full_matrices=False)
    kept = s > DEPENDENT * s[0]
    if not kept.any():
        raise ValueError("The directions of this basis do nothing to the feature.")
    v = (left.T @ q)[kept]
    return replace(
        basis,
        v=v.to(basis.v).view(-1, *basis.v.shape[1:]),
        s=s[kept].to(basis.s),
        u=u[kept].to(basis.u).view(-1, *basis.u.shape[1:]),
        residuals=basis.residuals.max().expand(int(kept.sum())).clone(),
        kind=SINGULAR,
        names=[],
        pictures=None,
        search_space=None,
    )


def _orthonormal(q: torch.Tensor, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Orthonormal vectors with the span of q, and the same sums of their images."""
    values, vectors = torch.linalg.eigh(q @ q.T)
    kept = values > DEPENDENT * values[-1]
    mixture = (vectors[:, kept] / values[kept].sqrt()).T
    return mixture @ q, mixture @ images
