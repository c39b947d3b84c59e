"""Directions that change the picture inside a mask and leave the rest as it is, made of a finished basis.

A basis knows what its directions, and all vectors that its search multiplied, do to the predicted picture:
J0 q = w. So the share of its change that any mixture of them has inside a mask is known without an evaluation
of the model: c^T W M W^T c / c^T W W^T c. `masked_basis` takes the mixtures of largest share. LOCO Edit (Chen
et al., NeurIPS 2024, arXiv 2409.02374) searches anew for each mask.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
import torch.nn.functional as F

from ..basis import PullbackBasis
from ..linalg.orthonormal import orthonormal_mixture
from ..linalg.precision import without_autocast
from .sums import mixed, sums_of_known, weighted_sums

MASKED = "masked"  # the kind of such a basis
LEAST = 0.8  # the default of `masked_basis`
# A direction whose energy is this share of the mean counts half. On the bundled model at 0.5 T, 8 faces, true
# edits of the eyes have 0.97 of their change inside. With 1e-2 it is 0.95, and moves are shorter by a fifth.
WEAK = 3e-4
WORTH_A_SEARCH = 0.9  # `Masked.report` advises a search where less of the change is inside


class Masked(NamedTuple):
    """Directions inside masks.

    Attributes:
        basis: The directions, of kind "masked": first those of the first mask.
        inside: (rank,) the share of the energy of each direction's change of the predicted picture that lies
            inside its mask, in float32 on the CPU.
        regions: For each direction the number of its mask, counted from 0.
    """

    basis: PullbackBasis
    inside: torch.Tensor
    regions: list[int]

    def report(self) -> str:
        """How much of the change lies inside, in words."""
        lines = []
        for region in sorted(set(self.regions)):
            of_region = torch.tensor([number == region for number in self.regions])
            shares = self.inside[of_region]
            text = f"{shares.max():.2f} of the change lies inside the mask"
            if len(shares) > 1:
                text = f"{len(shares)} directions, {shares.min():.2f} to {text}"
            if shares.max() < WORTH_A_SEARCH:
                text += "; search within the mask for more"
            lines.append(text)
        if len(lines) > 1:
            lines = [f"mask {number + 1}: {line}" for number, line in enumerate(lines)]
        return "\n".join(lines)


@without_autocast()
def masked_basis(
    basis: PullbackBasis, masks: Iterable[torch.Tensor], count: int = 4, *, least: float = LEAST
) -> Masked:
    """Find mixtures of a basis that change the picture inside a mask. The model is not evaluated.

    For each mask it takes the mixtures of largest share inside, at most `count`. Within their span it orders
    them by their response, as a search would: their v are orthonormal, and their s descend.

    Args:
        basis: Any basis that knows what its directions do to the picture: of the feature "picture", or with
            `pictures`. The more it knows the better: keep its search space, or choose a large rank.
        masks: At least one mask: (h, w) of any size, which is brought to the size of the latent by averages
            of areas, or (c, h, w) of the latent's shape. All are in [0, 1], and 1 is inside. For
            directions that change several regions together, give the maximum of their masks as one.
        count: The most directions for each mask.
        least: The smallest share inside of a direction, in [0, 1]. Directions of little response count less.
            If no direction has so much, there is one all the same, the best.

    Returns:
        The basis, without a search space and names, and the shares inside.

    Raises:
        ValueError: The basis does not know what its directions do to the picture, or they do nothing. There
            is no mask, or a mask is empty, has another shape or other values. The count is below 1.
    """
    if count < 1:
        raise ValueError(f"At least one direction is needed for each mask, got a count of {count}.")
    weights = [mask_weights(mask, basis.v.shape[1:]) for mask in masks]
    if not weights:
        raise ValueError("Directions inside a mask need at least one mask, got none.")
    q, changes = _known_changes(basis)
    mixtures, inside, regions = [], [], []
    for region, weight in enumerate(weights):
        mixture, shares = _inside(q, changes, weight, count, least)
        mixtures.append(mixture)
        inside.append(shares)
        regions += [region] * len(shares)
    sums = sums_of_known if basis.pictures is None else weighted_sums
    found = replace(sums(basis, torch.cat(mixtures), MASKED), search_space=None)
    return Masked(found, torch.cat(inside).float(), regions)


def mask_weights(mask: torch.Tensor, shape: tuple[int, ...] | torch.Size) -> torch.Tensor:
    """Bring a mask to the shape of a latent.

    Args:
        mask: (h, w) of any size, or (c, h, w) of the latent's shape; in [0, 1].
        shape: (c, h, w) of the latent.

    Returns:
        (c, h, w) in [0, 1].

    Raises:
        ValueError: The mask has another shape, other values, or is 0 everywhere.
    """
    shape = tuple(shape)
    if mask.ndim != 2 and tuple(mask.shape) != shape:
        raise ValueError(
            f"A mask has the shape (h, w), or that of the latent, {shape}; got {tuple(mask.shape)}."
        )
    # Written so that NaN fails.
    if not ((mask >= 0) & (mask <= 1)).all():
        raise ValueError("A mask has values from 0 to 1; got one with other values.")
    mask = mask.float()
    if mask.ndim == 2:
        mask = F.interpolate(mask[None, None], size=shape[-2:], mode="area")[0].expand(shape)
    if not mask.any():
        raise ValueError("A mask is empty; it must be above 0 where the picture shall change.")
    return mask


def _known_changes(basis: PullbackBasis) -> tuple[torch.Tensor, torch.Tensor]:
    """All vectors of which a basis knows what they do to the predicted picture.

    Returns:
        (k, n) the vectors in network coordinates, and (k, n) J0 of them in sampler coordinates, in float32 or
        more. They are those of `known_products` for the feature "picture", else the directions.
    """
    if basis.pictures is None:
        basis.picture_changes()  # refuses a basis that does not know
        q, changes = basis.known_products()
    else:
        q, changes = basis.v, basis.pictures
    dtype = torch.promote_types(basis.v.dtype, torch.float32)
    q, changes = q.detach().flatten(1).to(dtype), changes.detach().flatten(1).to(dtype)
    if not changes.any() or not torch.isfinite(changes).all():
        raise ValueError("The directions of this basis do nothing to the picture, so no mask can help.")
    return q, changes


def _inside(
    q: torch.Tensor, changes: torch.Tensor, weights: torch.Tensor, count: int, least: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """The directions inside one mask.

    Returns:
        (r, k) the mixtures of the known vectors, and (r,) their shares inside; both in float64 on the CPU.
    """
    orthonormal = orthonormal_mixture(q)
    weighted = changes * weights.flatten().to(changes)
    # Small matrices are in float64 on the CPU, because not every device has float64.
    all_energy = orthonormal @ (changes @ changes.T).cpu().double() @ orthonormal.T
    energy_inside = orthonormal @ (weighted @ changes.T).cpu().double() @ orthonormal.T

    weak = WEAK * all_energy.diagonal().mean() * torch.eye(len(all_energy), dtype=torch.float64)
    inverse = torch.linalg.inv(torch.linalg.cholesky(all_energy + weak))
    shares, vectors = torch.linalg.eigh(inverse @ energy_inside @ inverse.T)
    best = shares.argsort(descending=True)[:count]
    best = best[: max(1, int((shares[best] >= least).sum()))]
    # Any mixture of them has at least the least of their shares. So their span may be turned: by response.
    span = torch.linalg.qr(inverse.T @ vectors[:, best])[0].T
    responses, turn = torch.linalg.eigh(span @ all_energy @ span.T)
    span = turn[:, responses.argsort(descending=True)].T @ span
    inside = ((span @ energy_inside) * span).sum(dim=1) / ((span @ all_energy) * span).sum(dim=1)
    mixture = span @ orthonormal
    # The sign that adds more than it takes, as in rotated bases.
    signs = torch.where(mixed(mixture, changes).pow(3).sum(dim=1) < 0, -1.0, 1.0).cpu().double()
    return mixture * signs[:, None], inside.clamp(0, 1)
