"""What the directions of a basis do to the predicted picture."""

from collections.abc import Callable
from dataclasses import replace

from ..basis import PullbackBasis
from ..linalg.precision import without_autocast
from ..local_basis import feature_jacobian
from ..models.denoiser import PICTURE, Denoiser
from ..noisy import NoisyLatent
from .sums import unit


@without_autocast()
def with_pictures(
    basis: PullbackBasis,
    denoiser: Denoiser,
    noisy: NoisyLatent,
    *,
    batch_size: int | None = None,
    offload: bool | None = None,
    progress: Callable[[int], object] | None = None,
) -> PullbackBasis:
    """Add to a basis what its directions do to the predicted picture.

    It takes one product for each direction. A basis of the feature "picture" knows already, and comes back as
    it is.

    Args:
        basis: Directions at `noisy`, of any feature.
        denoiser: The model, with the feature "picture".
        noisy: The noisy latent that the basis belongs to.
        batch_size: As in `feature_jacobian`.
        offload: As in `feature_jacobian`.
        progress: As in `feature_jacobian`.

    Returns:
        The basis with its `pictures`, and with the products counted.

    Raises:
        ValueError: The denoiser has another feature, or the model or the noise level is not that of the
            basis.
    """
    if basis.provenance.get("feature") == PICTURE:
        return basis
    feature = denoiser.provenance.get("feature")
    if feature != PICTURE:
        raise ValueError(
            f"The changes of the picture need a denoiser of the feature {PICTURE!r}, got {feature!r}."
        )
    models = basis.provenance.get("model"), denoiser.provenance.get("model")
    if models[0] != models[1] and None not in models:
        raise ValueError(f"The basis is of the model {models[0]}, and the denoiser is {models[1]}.")
    basis.require_level(noisy)
    jacobian = feature_jacobian(denoiser, noisy, batch_size=batch_size, offload=offload, progress=progress)
    changes = jacobian.jvp(basis.v.to(jacobian.x)).to(basis.v)
    return replace(basis, pictures=changes, products=basis.products + basis.rank)


def as_picture_basis(basis: PullbackBasis) -> PullbackBasis:
    """The same directions as a basis of the feature "picture".

    Args:
        basis: A basis that knows what its directions do to the picture.

    Returns:
        A basis whose s and u say what its directions do to the picture. It keeps its search space only if
        `basis` is of this feature already.

    Raises:
        ValueError: The basis does not know what its directions do to the picture.
    """
    changes = basis.picture_changes()
    if basis.pictures is None:
        return basis
    return replace(
        basis,
        s=changes.flatten(1).norm(dim=1),
        u=unit(changes),
        pictures=None,
        provenance={**basis.provenance, "feature": PICTURE},
        search_space=None,
    )
