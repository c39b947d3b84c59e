"""How well a direction carries over to another picture, foretold from the two bases.

>>> describe_alignment(0.9)
'carries over well'
>>> describe_alignment(0.1)
'does not carry over'
"""

import torch
import torch.nn.functional as F

from ..basis import PullbackBasis
from ..models.denoiser import PICTURE
from .known import orthonormal_known

WELL, PARTLY, NOT = "carries over well", "carries over partly", "does not carry over"
UNKNOWN = "may carry over or not; of this feature the alignment does not tell"

# Success (the cosine of the changes of 22 attributes at source and target) of rotated directions of rank 16
# at 0.5 T, over 210 pairs of 42 faces of the bundled model: 0.89 at a good alignment, 0.71 at a fair one, and
# 0.32 below it. Of directions of forms alone it is 0.70, 0.62 and 0.29; of colours 0.91, 0.78 and 0.55.
GOOD_ALIGNMENT, FAIR_ALIGNMENT = 0.6, 0.3

FEW = 8  # vectors; responses of two pictures are compared where both bases know at least so many


def describe_alignment(alignment: float, feature: str | None = PICTURE) -> str:
    """Say in words how well a direction carries over.

    Args:
        alignment: Of the method "fitted".
        feature: The feature of the bases. For others than "picture" the alignment foretells nothing: through
            the bottleneck of the bundled model its rank correlation with success is 0.

    Returns:
        "carries over well", "carries over partly", "does not carry over", or that it may do either.
    """
    if feature != PICTURE:
        return UNKNOWN
    if alignment >= GOOD_ALIGNMENT:
        return WELL
    return PARTLY if alignment >= FAIR_ALIGNMENT else NOT


def alignment(index: int, source: PullbackBasis, target: PullbackBasis, image: torch.Tensor) -> float:
    """Foretell how well a carried direction does at the target what the direction does at the source.

    Let d be what the direction does at the source, and M the soft region where it does so. The alignment is
    the product of

    - the cosine of M d and M image,
    - the root of the likeness of all responses within M: the cosine of the matrices M J J^T M of both points,
    - the likeness of the predicted pictures: the cosine of M x0 of both points. It counts the less, the more
      d is plain (one colour all over its region), because a shirt of any colour can be dyed.

    A factor that the bases do not know is left out: the second where one of them knows fewer than `FEW`
    vectors, and the third where one has no `predicted`. For features without a region, of less than three
    dimensions, M is 1.

    Args:
        index: The number of the direction in `source`, counted from 0.
        source: Any basis.
        target: A basis of the same feature and shape.
        image: What the target's Jacobian does to the carried direction; as many numbers as target.u[0].

    Returns:
        The alignment, in [0, 1].
    """
    change = source.u[index].cpu().double()
    region = _region(change).expand_as(change).flatten()
    measured = _cosine(region * change.flatten(), region * image.cpu().double().flatten())
    images = [orthonormal_known(basis)[1] * region for basis in (source, target)]
    if min(len(rows) for rows in images) >= FEW:
        measured = measured * _likeness(*images) ** 0.5
    predicted = [basis.predicted for basis in (source, target) if basis.predicted is not None]
    if len(predicted) == 2 and len(region) == source.v[0].numel():
        pictures = [region * picture.cpu().double().flatten() for picture in predicted]
        plain = _plainness(change) ** 2
        measured = measured * (plain + (1 - plain) * _cosine(*pictures))
    return float(measured)


def _region(change: torch.Tensor) -> torch.Tensor:
    """Where a change (c, h, w) happens: its size as a share of the largest size, (1, h, w)."""
    if change.ndim != 3:
        return torch.ones_like(change)
    size = change.norm(dim=0, keepdim=True)
    return size / size.max().clamp(min=torch.finfo(size.dtype).tiny)


def _plainness(change: torch.Tensor) -> torch.Tensor:
    """The share of the energy of a change (c, h, w), within its region, that is its mean over the region."""
    region = _region(change)
    weights = region.square()
    mean = (weights * change).sum(dim=(1, 2), keepdim=True) / weights.sum()
    return (((region * mean).square().sum()) / (region * change).square().sum()).clamp(max=1)


def _cosine(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The cosine of two vectors, and 0 where it is negative."""
    return F.cosine_similarity(one, other, dim=0).clamp(min=0, max=1)


def _likeness(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """The cosine of the matrices A^T A of two sets of rows."""
    norms = (one @ one.T).norm() * (other @ other.T).norm()
    tiny = torch.finfo(norms.dtype).tiny
    return ((one @ other.T).square().sum() / norms.clamp(min=tiny)).clamp(max=1)
