"""The search for the basis of a diffusion model at one noisy latent (Park et al. 2023, section 3.1)."""

import math
from collections.abc import Callable
from typing import Any

import torch

from .basis import PullbackBasis
from .linalg.jacobian import Jacobian
from .linalg.precision import without_autocast
from .linalg.svd import SearchSpace, SingularTriplets, top_singular_triplets
from .models.denoiser import PICTURE, Denoiser
from .models.schedule import NoiseSchedule
from .noisy import NoisyLatent


def feature_jacobian(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    *,
    batch_size: int | None = None,
    offload: bool | None = None,
    progress: Callable[[int], object] | None = None,
) -> Jacobian:
    """The Jacobian of z -> h at one noisy latent, where z is the latent in network coordinates.

    Args:
        denoiser: The model and its feature.
        noisy: One noisy latent.
        batch_size: Products that run at once; None leaves it to the denoiser.
        offload: Keep activations in main memory between products; None leaves it to the denoiser.
        progress: Called as progress(products so far) after each batch.

    Returns:
        A `Jacobian` at z (c, h, w). Nothing is computed yet.

    Raises:
        ValueError: There is more than one latent, it is all zeros or not finite, or the model does not have
            its noise level.
    """
    schedule = denoiser.schedule
    sigma = schedule.require_level(noisy.sigma)
    z = schedule.to_network(_require_one_latent(noisy), sigma)
    limits = denoiser.product_limits(tuple(z.shape))
    return Jacobian(
        in_network_coordinates(denoiser.encode, schedule, sigma),
        z,
        batch_size=limits.batch_size if batch_size is None else batch_size,
        offload=limits.offload if offload is None else offload,
        progress=progress,
        resident=limits.resident,
    )


def in_network_coordinates(
    encode: Callable[[torch.Tensor, float], torch.Tensor], schedule: NoiseSchedule, sigma: float
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make encode(x, sigma) a function of z, the latent in network coordinates.

    Args:
        encode: As `Denoiser.encode`.
        schedule: The noise schedule of the model.
        sigma: The noise level.

    Returns:
        The function: z (b, c, h, w) -> h (b, *H).
    """

    def encode_z(z: torch.Tensor) -> torch.Tensor:
        return encode(schedule.from_network(z, sigma), sigma)

    return encode_z


def _require_one_latent(noisy: NoisyLatent) -> torch.Tensor:
    """The only latent of a batch, (c, h, w). Refuses several, and points where the map is undefined."""
    if len(noisy) != 1:
        raise ValueError(
            f"A basis belongs to one noisy latent, got {len(noisy)}; use local_bases for a batch."
        )
    x = noisy.x[0]
    if not torch.isfinite(x).all() or not x.any():
        raise ValueError(
            "The noisy latent is all zeros or not finite; add noise to it or invert a picture first."
        )
    return x


class _Progress:
    """Reports products as they are computed, together with the newest residual."""

    def __init__(self, report: Callable[[int, float], object] | None):
        self._report = report
        self._residual = math.inf

    def after_products(self, products: int) -> None:
        if self._report:
            self._report(products, self._residual)

    def after_block(self, products: int, residual: float) -> None:
        self._residual = residual
        self.after_products(products)


@without_autocast()
def local_basis(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    rank: int,
    *,
    tolerance: float = 1e-2,
    max_products: int | None = None,
    seed: int = 0,
    method: str = "krylov",
    start: PullbackBasis | None = None,
    batch_size: int | None = None,
    offload: bool | None = None,
    progress: Callable[[int, float], object] | None = None,
    keep_space: bool = False,
    block_size: int | None = None,
) -> PullbackBasis:
    """Find the leading directions of x_t -> h at one noisy latent (Park et al. 2023, section 3.1).

    Args:
        denoiser: The model and its feature.
        noisy: One noisy latent; see `local_bases` for a batch.
        rank: How many directions to find.
        tolerance: The largest residual of a direction, as in `top_singular_triplets`.
        max_products: The search stops there, converged or not; None is 200 for each direction.
        seed: The seed of the random vectors with which the search starts.
        method: "krylov" or "subspace", as in `top_singular_triplets`.
        start: A basis to start from, for example of a neighbouring timestep. One of this very point that
            kept its search space is extended, which costs the difference and the check of the result.
        batch_size: Products that run at once (memory); None leaves it to the denoiser.
        offload: Keep activations in main memory, as in `Jacobian`; None leaves it to the denoiser.
        progress: Called as progress(products, largest residual) after each batch and block; may raise.
        keep_space: Keep the search space for a later `start`, several times the memory of the basis.
        block_size: Vectors that are multiplied together, as in `top_singular_triplets`.

    Returns:
        The basis. Its directions v are orthonormal in network coordinates.

    Raises:
        ValueError: There is more than one latent, or the model does not have its noise level.
    """
    reporter = _Progress(progress)
    jacobian = feature_jacobian(
        denoiser, noisy, batch_size=batch_size, offload=offload, progress=reporter.after_products
    )
    triplets = top_singular_triplets(
        jacobian,
        rank,
        tolerance=tolerance,
        max_products=max_products,
        seed=seed,
        method=method,
        block_size=block_size,
        progress=reporter.after_block,
        start=None if start is None else start.v.to(jacobian.x),
        search_space=_known_space(start, denoiser, noisy),
    )
    if not keep_space:
        triplets = triplets._replace(search_space=None)
    return _basis_of(triplets, denoiser, noisy, seed, predicted_picture(jacobian, denoiser))


def predicted_picture(jacobian: Jacobian, denoiser: Denoiser) -> torch.Tensor | None:
    """The predicted picture at the point of a Jacobian, if it is the feature.

    Args:
        jacobian: The result of `feature_jacobian` with this denoiser.
        denoiser: The model and its feature.

    Returns:
        (c, h, w) in sampler coordinates, or None for other features.
    """
    return jacobian.value if denoiser.provenance.get("feature") == PICTURE else None


def _basis_of(
    triplets: SingularTriplets,
    denoiser: Denoiser,
    noisy: NoisyLatent,
    seed: int,
    predicted: torch.Tensor | None,
) -> PullbackBasis:
    return PullbackBasis(
        **triplets._asdict(),
        sigma=noisy.sigma,
        timestep=denoiser.schedule.fraction(noisy.sigma),
        seed=seed,
        provenance=dict(denoiser.provenance),
        predicted=predicted,
    )


def _known_space(start: PullbackBasis | None, denoiser: Denoiser, noisy: NoisyLatent) -> SearchSpace | None:
    """The search space of `start`, if it may be of this very point. The solver finds out whether it is."""
    if start is None or (start.sigma, start.provenance) != (noisy.sigma, denoiser.provenance):
        return None
    return start.search_space


def local_bases(denoiser: Denoiser, noisy: NoisyLatent, rank: int, **options: Any) -> list[PullbackBasis]:
    """The bases of several noisy latents.

    Args:
        denoiser: The model and its feature.
        noisy: A batch of noisy latents.
        rank: How many directions to find in each.
        **options: As in `local_basis`.

    Returns:
        One basis for each latent.

    Raises:
        ValueError: As in `local_basis`.
    """
    return [local_basis(denoiser, noisy[index], rank, **options) for index in range(len(noisy))]
