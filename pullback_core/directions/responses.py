"""What the feature does in given directions: a basis of vectors that no search chose."""

from collections.abc import Callable

import torch

from ..basis import PullbackBasis
from ..linalg.precision import without_autocast
from ..local_basis import feature_jacobian, predicted_picture
from ..models.denoiser import Denoiser
from ..noisy import NoisyLatent
from .sums import unit

GIVEN = "given"  # the kind of such a basis


@without_autocast()
def responses(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    vectors: torch.Tensor,
    *,
    batch_size: int | None = None,
    offload: bool | None = None,
    progress: Callable[[int], object] | None = None,
) -> PullbackBasis:
    """Compute the responses of the feature to given vectors. It takes one product for each of them.

    Args:
        denoiser: The model and its feature.
        noisy: One noisy latent.
        vectors: (k, c, h, w) in network coordinates, of any length above 0.
        batch_size: As in `feature_jacobian`.
        offload: As in `feature_jacobian`.
        progress: As in `feature_jacobian`.

    Returns:
        A basis of kind "given": v are the vectors, made unit, and J v_i = s_i u_i. Its residuals are 0.

    Raises:
        ValueError: A vector has another shape than the latent, is zero or not finite, or as in
            `feature_jacobian`.
    """
    if vectors.shape[1:] != noisy.x.shape[1:] or not len(vectors):
        raise ValueError(
            f"Vectors of the shape (k, {', '.join(map(str, noisy.x.shape[1:]))}) are needed, got "
            f"{tuple(vectors.shape)}."
        )
    lengths = vectors.flatten(1).norm(dim=1)
    if not (torch.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("A vector is zero or not finite, so it is no direction.")
    jacobian = feature_jacobian(denoiser, noisy, batch_size=batch_size, offload=offload, progress=progress)
    v = unit(vectors.to(jacobian.x))
    changes = jacobian.jvp(v)
    return PullbackBasis(
        v=v,
        s=changes.flatten(1).norm(dim=1),
        u=unit(changes),
        residuals=torch.zeros_like(lengths).to(v),
        products=len(v),
        converged=True,
        sigma=noisy.sigma,
        timestep=denoiser.schedule.fraction(noisy.sigma),
        provenance=dict(denoiser.provenance),
        kind=GIVEN,
        predicted=predicted_picture(jacobian, denoiser),
    )
