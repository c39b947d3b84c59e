"""A direction of one picture, fitted to another: the nearest move that changes that picture the same way.

Let v be a direction of the source, and d = J v what it does there. At the target, with Jacobian K, the fitted
direction w minimises

    ||K w - d||^2 + NEARNESS s_1^2 ||w - v||^2

with s_1 the largest response that is known at the target. Without the second term it is the exact pullback of
d. It is v itself without the first term.
"""

from dataclasses import replace

import torch

from ..basis import PullbackBasis
from ..linalg.precision import without_autocast
from .alignment import alignment
from .known import orthonormal_known
from .sums import unit

CARRIED = "carried"  # the kind of a basis of a direction that was fitted

# Success for forms and for colours on the bundled faces (12 faces, 24 pairs, 20 directions of rank 40, at
# 0.5 T): 0.43 and 0.77 with v itself; 0.48, 0.50, 0.50, 0.49, 0.48 and 0.83, 0.84, 0.84, 0.84, 0.83 with a
# nearness of 0.3, 0.1, 0.03, 0.01, 0.003; 0.38 and 0.80 with the exact pullback. Those faces were kind:
# over 42 other faces, 210 pairs, rotated directions of rank 16, it is 0.39 and 0.82 with 0.03.
NEARNESS = 0.03


@without_autocast()
def fitted(index: int, source: PullbackBasis, target: PullbackBasis) -> tuple[PullbackBasis, float]:
    """Fit a direction of one picture to another picture. The model is not evaluated.

    Args:
        index: The number of the direction in `source`, counted from 0.
        source: Any basis.
        target: A basis of the same feature at the same size. It serves best with its search space kept.

    Returns:
        A basis of rank 1 of kind "carried" at the target's point, with the name of the direction, and the
        alignment in [0, 1], see `alignment.alignment`. Its s and u are what the target's basis knows of K w.

    Raises:
        ValueError: The source has no such direction, the latents are of different shape, or the target's
            basis knows of no change that its directions make.
    """
    v = source.direction(index).flatten().cpu().double()
    if source.v.shape[1:] != target.v.shape[1:]:
        raise ValueError(
            f"The latents of the two pictures have the shapes {tuple(source.v.shape[1:])} and "
            f"{tuple(target.v.shape[1:])}; bring both pictures to one size before you invert them."
        )
    wanted = source.s[index].cpu().double() * source.u[index].flatten().cpu().double()
    q, images = orthonormal_known(target)
    gram = images @ images.T
    strongest = torch.linalg.eigvalsh(gram)[-1]
    if not strongest > 0:
        raise ValueError("The directions of the target do nothing, so nothing can be carried.")
    start = q @ v
    ridge = NEARNESS * strongest * torch.eye(len(q), dtype=torch.float64)
    step = torch.linalg.solve(gram + ridge, images @ (wanted - start @ images))
    direction = v + step @ q
    length = direction.norm()
    image = (start + step) @ images
    if not length > 0 or not image.norm() > 0:
        raise ValueError(
            "The direction is orthogonal to everything in the target's basis; nothing can be carried."
        )
    measured = alignment(index, source, target, image)
    basis = replace(
        target,
        v=(direction / length).to(target.v).view(1, *target.v.shape[1:]),
        s=(image.norm() / length).to(target.s)[None],
        u=unit(image.to(target.u).view(1, *target.u.shape[1:])),
        residuals=target.residuals.max()[None],
        products=0,
        converged=True,
        kind=CARRIED,
        names=[source.name(index)] if source.name(index) else [],
        notes="",
        thumbnail=None,
        pictures=None,
        search_space=None,
    )
    return basis, measured
