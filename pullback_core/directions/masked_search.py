"""A search for directions that change the picture inside a mask.

A search of J0 finds what changes most anywhere, and small parts such as a mouth come late. The search of
D J0, where D weights the picture by a mask, finds what changes most inside. D is nowhere 0, so
J0 q = D^-1 (D J0 q) stays known exactly, inside and outside.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch

from ..basis import PullbackBasis
from ..linalg.jacobian import Jacobian
from ..linalg.orthonormal import orthonormal_mixture
from ..linalg.precision import without_autocast
from ..linalg.svd import SingularTriplets, top_singular_triplets
from ..linalg.weighted_operator import WeightedOperator
from ..local_basis import feature_jacobian
from ..models.denoiser import PICTURE, Denoiser
from ..noisy import NoisyLatent
from .masks import mask_weights, masked_basis
from .sums import unit, weighted_sums

SEARCHED = "masked search"  # the kind of its result
# The defaults: 4 directions of 4 products each. On the bundled model at 0.5 T, 16 products after a free one
# of 64 find as much inside a mouth, eyes, hair or a shirt as 100 to 184 products of a free search.
RANK = 4
PRODUCTS_FOR_EACH = 4
# The weight outside of the mask. 0.05 finds more in as many products than 0.2 does.
FLOOR = 0.05
SAME_POINT = 0.05  # products that differ by more than this share are of another point


@without_autocast()
def search_within(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    masks: Iterable[torch.Tensor],
    rank: int = RANK,
    *,
    start: PullbackBasis | None = None,
    max_products: int | None = None,
    seed: int = 1,
    progress: Callable[[int, float], object] | None = None,
) -> PullbackBasis:
    """Search for directions that change the predicted picture inside masks.

    What the result knows includes the change outside of the masks. Give it to `masked_basis`, which finds the
    directions that leave the rest as it is.

    Args:
        denoiser: The model, with the feature "picture".
        noisy: One noisy latent.
        masks: As in `masked_basis`. The search is for all of them together.
        rank: How many leading directions of D J0 are searched.
        start: A basis of the feature "picture" at this very point. What it knows is kept.
        max_products: The search stops there, converged or not; None is 4 for each direction.
        seed: As in `local_basis`; another than that of `start`, whose first vector it would repeat.
        progress: As in `local_basis`.

    Returns:
        A basis of kind "masked search" with all vectors that are known now, several times as many as `rank`.
        They are orthonormal and ordered by the response of the whole picture. Its residuals are the largest
        one of the search of D J0.

    Raises:
        ValueError: The denoiser has another feature, `start` is of another point, there is no mask, or as in
            `masked_basis` and `local_basis`.
    """
    jacobian = feature_jacobian(denoiser, noisy)
    diagonal = _diagonal(masks, denoiser, noisy).to(jacobian.x)
    near = None
    if start is not None:
        _require_same_point(start, jacobian, noisy)
        near = masked_basis(start, [diagonal], rank).basis.v
    found = top_singular_triplets(
        WeightedOperator(jacobian, diagonal),
        rank,
        max_products=PRODUCTS_FOR_EACH * rank if max_products is None else max_products,
        seed=seed,
        start=near,
        progress=progress,
    )
    searched = _of_search(found, diagonal, denoiser, noisy, seed)
    return searched if start is None else _with_known(searched, start)


def _diagonal(masks: Iterable[torch.Tensor], denoiser: Denoiser, noisy: NoisyLatent) -> torch.Tensor:
    """D, (c, h, w): the maximum of the masks, and nowhere 0. Refuses what cannot be searched."""
    feature = denoiser.provenance.get("feature")
    if feature != PICTURE:
        raise ValueError(
            f"A search within a mask needs a denoiser of the feature {PICTURE!r}, got {feature!r}."
        )
    weights = [mask_weights(mask, noisy.x.shape[1:]) for mask in masks]
    if not weights:
        raise ValueError("A search within a mask needs at least one mask, got none.")
    return torch.stack(weights).amax(dim=0).clamp(min=FLOOR)


def _require_same_point(start: PullbackBasis, jacobian: Jacobian, noisy: NoisyLatent) -> None:
    """Refuse a basis of another point. One product tells: that of a sum of its directions."""
    if start.provenance.get("feature") != PICTURE:
        raise ValueError(
            f"A search within a mask goes on from a basis of the feature {PICTURE!r}, got one of "
            f"{start.provenance.get('feature')!r}."
        )
    start.require_level(noisy)
    if start.v.shape[1:] != jacobian.x.shape:
        raise ValueError(
            f"The basis has latents of shape {tuple(start.v.shape[1:])}, and the noisy latent has "
            f"{tuple(jacobian.x.shape)}; use the noisy latent that the basis was computed from."
        )
    probe = start.v.sum(dim=0, keepdim=True).to(jacobian.x)
    expected = start.picture_changes().sum(dim=0, keepdim=True).to(jacobian.x)
    if not (jacobian.jvp(probe) - expected).norm() <= SAME_POINT * expected.norm():
        raise ValueError(
            "The basis is of another noisy latent, model or prompt; use those that it was computed from."
        )


def _of_search(
    found: SingularTriplets, diagonal: torch.Tensor, denoiser: Denoiser, noisy: NoisyLatent, seed: int
) -> PullbackBasis:
    """The basis of J0 of all vectors that a search of D J0 multiplied."""
    weighted = PullbackBasis(
        **found._asdict(),
        sigma=noisy.sigma,
        timestep=denoiser.schedule.fraction(noisy.sigma),
        seed=seed,
        provenance=dict(denoiser.provenance),
    )
    q, images = weighted.known_products()
    return _by_response(weighted, q, images / diagonal.to(images))


def _with_known(searched: PullbackBasis, start: PullbackBasis) -> PullbackBasis:
    """A finished search together with what a basis at the same point knows."""
    basis = replace(
        start,
        products=start.products + 1 + searched.products,
        converged=searched.converged,
        residuals=searched.residuals,
        seed=searched.seed,
    )
    q, changes = searched.known_products()
    known, known_changes = start.known_products()
    return _by_response(basis, torch.cat([known.to(q), q]), torch.cat([known_changes.to(changes), changes]))


def _by_response(basis: PullbackBasis, q: torch.Tensor, changes: torch.Tensor) -> PullbackBasis:
    """A basis of the span of vectors q (k, c, h, w) whose changes are known: orthonormal, by response."""
    of_q = replace(
        basis,
        v=q,
        s=changes.flatten(1).norm(dim=1),
        u=unit(changes),
        residuals=basis.residuals.max().expand(len(q)),
        search_space=None,
    )
    orthonormal = orthonormal_mixture(q.flatten(1))
    energy = (changes.flatten(1) @ changes.flatten(1).T).cpu().double()
    responses, turn = torch.linalg.eigh(orthonormal @ energy @ orthonormal.T)
    order = responses.argsort(descending=True)
    return weighted_sums(of_q, turn[:, order].T @ orthonormal, SEARCHED)
