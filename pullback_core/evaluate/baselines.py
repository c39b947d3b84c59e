"""Rival methods, written anew from their papers, for comparison."""

import torch

from ..basis import PullbackBasis
from ..directions.masks import mask_weights
from ..directions.sums import unit
from ..linalg.precision import without_autocast
from ..linalg.svd import top_singular_triplets
from ..linalg.weighted_operator import WeightedOperator
from ..local_basis import feature_jacobian
from ..models.denoiser import Denoiser
from ..noisy import NoisyLatent

NULL_SPACE = "null space"  # the kind of a basis of `null_space_basis`
OUTSIDE = 8  # how many directions of the outside are projected out


@without_autocast()
def null_space_basis(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    mask: torch.Tensor,
    count: int = 2,
    *,
    outside: int = OUTSIDE,
    tolerance: float = 0.05,
    seed: int = 0,
) -> PullbackBasis:
    """Directions that change a region, with the leading directions of the rest projected out.

    With M the mask and N = 1 - M: v is a leading right singular vector of M J0, and V_N holds those of N J0.
    The direction is v - V_N V_N^T v (LOCO Edit: Chen et al., NeurIPS 2024, arXiv 2409.02374, section 3). Its
    authors find both by a few power iterations. Here both searches go on until they converge.

    Args:
        denoiser: The model, with the feature "picture".
        noisy: One noisy latent.
        mask: As one mask of `masked_basis`.
        count: How many directions.
        outside: How many directions of the outside are projected out.
        tolerance: As in `local_basis`.
        seed: As in `local_basis`.

    Returns:
        A basis of kind "null space" whose v are not orthogonal, with all products counted. Its residuals are
        those of the search inside.

    Raises:
        ValueError: As in `masked_basis` and `local_basis`.
    """
    inside = mask_weights(mask, noisy.x.shape[1:])
    jacobian = feature_jacobian(denoiser, noisy)
    found, rest = (
        top_singular_triplets(WeightedOperator(jacobian, weights), rank, tolerance=tolerance, seed=seed)
        for weights, rank in ((inside, count), (1 - inside, outside))
    )
    rows, others = found.v.flatten(1), rest.v.flatten(1)
    v = unit((rows - rows @ others.T @ others).view_as(found.v))
    changes = jacobian.jvp(v.to(jacobian.x)).to(v)
    return PullbackBasis(
        v=v,
        s=changes.flatten(1).norm(dim=1),
        u=unit(changes),
        residuals=found.residuals,
        products=found.products + rest.products + count,
        converged=found.converged and rest.converged,
        sigma=noisy.sigma,
        timestep=denoiser.schedule.fraction(noisy.sigma),
        seed=seed,
        provenance=dict(denoiser.provenance),
        kind=NULL_SPACE,
    )
