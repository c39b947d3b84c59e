"""Averaged bases: the directions that matter at several noisy latents, not at one alone.

The directions at one latent depend on its noise. Those of the mean of J_k^T J_k over several latents, of one
picture under different noises or of several pictures, hardly do.
"""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from ..basis import PullbackBasis
from ..linalg.precision import without_autocast
from ..linalg.stacked import StackedJacobians
from ..linalg.svd import SearchSpace, SingularTriplets, top_singular_triplets
from ..local_basis import feature_jacobian, predicted_picture
from ..models.denoiser import Denoiser
from ..models.schedule import NoiseSchedule
from ..noisy import NoisyLatent

AVERAGED = "averaged"  # the kind of such a basis


def renoised(
    noisy: NoisyLatent, x0: torch.Tensor, schedule: NoiseSchedule, count: int, *, seed: int = 0
) -> NoisyLatent:
    """One noisy latent, and the same clean picture under other noises of the same level.

    Args:
        noisy: One noisy latent of the picture, such as that of `ddim.invert`.
        x0: (1, c, h, w) or (c, h, w), the clean picture in sampler coordinates.
        schedule: The noise schedule of the model.
        count: How many latents to return.
        seed: The seed of the noises, which are drawn on the CPU.

    Returns:
        `count` latents of the noise level of `noisy`; the first one is `noisy` itself.

    Raises:
        ValueError: There is more than one latent, the picture has another shape, or count is below 1.
    """
    if count < 1:
        raise ValueError(f"There must be at least one latent to average over, got {count}.")
    if len(noisy) != 1 or x0.shape[-3:] != noisy.x.shape[1:] or x0.numel() != noisy.x.numel():
        raise ValueError(
            f"Re-noising takes one noisy latent and its clean picture of the same shape, got "
            f"{tuple(noisy.x.shape)} and {tuple(x0.shape)}."
        )
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count - 1, *noisy.x.shape[1:], generator=generator).to(noisy.x)
    others = schedule.add_noise(x0.to(noisy.x).view(1, *noisy.x.shape[1:]), noise, noisy.sigma)
    return noisy.with_x(torch.cat([noisy.x, others]))


@without_autocast()
def averaged_basis(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    rank: int,
    *,
    tolerance: float = 1e-2,
    max_products: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    offload: bool | None = None,
    progress: Callable[[int, float], object] | None = None,
    keep_space: bool = False,
    block_size: int | None = None,
) -> PullbackBasis:
    """Find the directions of greatest mean response at several noisy latents.

    They are the top right singular vectors of the Jacobians J_k stacked on each other, which are the top
    eigenvectors of the mean of J_k^T J_k. The search takes as many products at each latent as `local_basis`
    takes at one. Where the latents are not on the CPU, only one latent's graphs are kept at a time.

    Args:
        denoiser: The model and its feature.
        noisy: Latents of one noise level, of one picture (see `renoised`) or of several. The basis is used at
            the first of them.
        rank: How many directions to find.
        tolerance: As in `local_basis`.
        max_products: The search stops after so many products at each latent, converged or not; None as in
            `local_basis`.
        seed: As in `local_basis`.
        batch_size: As in `local_basis`.
        offload: As in `local_basis`.
        progress: Called as progress(products at all latents, largest residual); may raise.
        keep_space: Keep the search space, as the first latent sees it. It takes one more product for each of
            its vectors.
        block_size: As in `local_basis`.

    Returns:
        A basis of kind "averaged". v is orthonormal, the direction of greatest mean response first. u and s
        are those of the first latent: J_1 v_i = s_i u_i. So s need not descend.

    Raises:
        ValueError: As in `local_basis`.
    """
    reporter = _Progress(progress)
    limits = {"batch_size": batch_size, "offload": offload, "progress": reporter.after_products}
    jacobians = [feature_jacobian(denoiser, noisy[index], **limits) for index in range(len(noisy))]
    stack = StackedJacobians(jacobians, forget=len(noisy) > 1 and noisy.x.device.type != "cpu")
    reporter.stack = stack
    triplets = top_singular_triplets(
        stack,
        rank,
        tolerance=tolerance,
        max_products=max_products,
        seed=seed,
        progress=reporter.after_block,
        block_size=block_size,
    )
    return _basis_at_the_first(triplets, stack, denoiser, noisy, seed, keep_space)


class _Progress:
    """Reports the products of a whole stack as they are computed, together with the newest residual."""

    def __init__(self, report: Callable[[int, float], object] | None) -> None:
        self._report, self._residual = report, math.inf
        self.stack: StackedJacobians | None = None

    def after_products(self, products: int) -> None:
        if self._report and self.stack is not None:
            self._report(self.stack.products, self._residual)

    def after_block(self, products: int, residual: float) -> None:
        self._residual = residual
        self.after_products(products)


def _basis_at_the_first(
    triplets: SingularTriplets,
    stack: StackedJacobians,
    denoiser: Denoiser,
    noisy: NoisyLatent,
    seed: int,
    keep_space: bool,
) -> PullbackBasis:
    """The directions of a stack, with u and s of its first Jacobian, which the stack's u holds too."""
    count = len(noisy)
    stretch = math.sqrt(count)  # the stack divides its products by it
    changes = (stretch * triplets.s).view(-1, *[1] * (triplets.u.ndim - 2)) * triplets.u[:, 0]
    s = changes.flatten(1).norm(dim=1)
    shape = [-1, *[1] * (changes.ndim - 1)]
    basis = PullbackBasis(
        v=triplets.v,
        s=s,
        u=changes / s.clamp(min=torch.finfo(s.dtype).tiny).view(shape),
        residuals=triplets.residuals,
        products=stack.products,
        converged=triplets.converged,
        sigma=noisy.sigma,
        timestep=denoiser.schedule.fraction(noisy.sigma),
        seed=seed,
        provenance={**denoiser.provenance, "mean": f"{count} latents"},
        kind=AVERAGED,
        predicted=predicted_picture(stack.jacobians[0], denoiser),
    )
    if not keep_space or triplets.search_space is None:
        return basis
    space = _space_of_the_first(triplets.search_space, stack)
    return replace(basis, search_space=space, products=stack.products)


def _space_of_the_first(space: SearchSpace, stack: StackedJacobians) -> SearchSpace:
    """The search space of a stack, with the products of its first Jacobian alone."""
    first, count = stack.jacobians[0], len(stack.jacobians)
    images = space.images.unflatten(1, (count, -1))[:, 0] * math.sqrt(count)
    cotangents = images.view(-1, *first.out_shape).to(first.x)
    returns = first.vjp(cotangents).flatten(1).to(images) / space.scale
    return SearchSpace(space.q, images.contiguous(), returns, space.scale)
