"""A direction found on one picture, applied to others: each is inverted, searched, and edited to the end."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch

from .. import ddim
from ..basis import PullbackBasis
from ..local_basis import local_basis
from ..models.denoiser import PICTURE, Denoiser
from ..noisy import NoisyLatent
from ..transport import FITTED, transported_basis
from .alignment import FAIR_ALIGNMENT, describe_alignment
from .strength import edit_by

RANK = 16  # of the searches; more finds the direction in more pictures and takes longer
STEPS_OF_A_PICTURE = 3  # that `apply_direction` reports: inverted, searched, finished


class Applied(NamedTuple):
    """What became of one picture.

    Attributes:
        picture: (c, h, w) the edited picture in sampler coordinates. None where it was left alone.
        alignment: How much of the direction carries over, in [0, 1]. None where that was not found out.
        verdict: What became of the picture, in words.
    """

    picture: torch.Tensor | None
    alignment: float | None
    verdict: str


def apply_direction(
    denoiser: Denoiser,
    pictures: Iterable[torch.Tensor],
    source: PullbackBasis,
    index: int,
    sigmas: torch.Tensor,
    *,
    strength: float = 1.0,
    least: float = FAIR_ALIGNMENT,
    refine: int = 4,
    rank: int = RANK,
    tolerance: float = 1e-2,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> list[Applied]:
    """Edit pictures along a direction of another picture, each as far as the direction carries over.

    Pictures that it does not carry over to are left alone, and so are those that cannot be edited, such as
    pictures of another size. The verdicts say so.

    Args:
        denoiser: The model, with the feature of `source`.
        pictures: Clean pictures x_0, each (c, h, w) in sampler coordinates.
        source: The basis with the direction, of rank 1 or more, of any kind.
        index: The number of the direction, counted from 0.
        sigmas: (steps + 1,) decreasing noise levels from that of `source` to the clean end.
        strength: In the unit of `directions.strength`, the same for all pictures.
        least: Leave pictures of a smaller alignment alone. 0 edits all. For other features than "picture"
            the alignment foretells nothing, and all are edited.
        refine: As in `ddim.invert`.
        rank: How many directions to search in each picture; fewer where the latent or the feature has no
            more.
        tolerance: As in `local_basis`.
        seed: As in `local_basis`.
        progress: Called as progress(steps done), `STEPS_OF_A_PICTURE` for each picture; may raise.

    Returns:
        What became of each picture.

    Raises:
        ValueError: The basis has no such direction, belongs to another model or feature, or the noise levels
            do not start at its own.
    """
    _require_fitting(denoiser, source, index, sigmas)
    rank = min(rank, source.v[0].numel(), source.u[0].numel())
    done: list[Applied] = []
    for x0 in pictures:
        report = _Steps(progress, STEPS_OF_A_PICTURE * len(done))
        try:
            noisy = ddim.invert(denoiser, _fitting(x0, source), sigmas, refine=refine)
            report.step()
            found = local_basis(denoiser, noisy, rank, tolerance=tolerance, seed=seed, keep_space=True)
            report.step()
            done.append(_edited(denoiser, noisy, source, index, found, strength, least))
        except ValueError as error:
            done.append(Applied(None, None, f"left alone: {error}"))
        report.finish()
    return done


class _Steps:
    """Reports the steps of one picture."""

    def __init__(self, progress: Callable[[int], object] | None, before: int) -> None:
        self._progress, self._before, self._done = progress, before, 0

    def step(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._before + self._done)

    def finish(self) -> None:
        while self._done < STEPS_OF_A_PICTURE:
            self.step()


def _require_fitting(denoiser: Denoiser, source: PullbackBasis, index: int, sigmas: torch.Tensor) -> None:
    source.direction(index)
    for name in ("model", "feature"):
        own, other = source.provenance.get(name), denoiser.provenance.get(name)
        if own != other and None not in (own, other):
            raise ValueError(
                f"The direction is of another {name} ({own}) than that of the edit ({other}); use the same."
            )
    source.require_level(NoisyLatent(source.v[:1], sigmas))


def _fitting(x0: torch.Tensor, source: PullbackBasis) -> torch.Tensor:
    """The picture as a batch of one. Refuses one of another size."""
    if x0.shape != source.v.shape[1:]:
        raise ValueError(
            f"its latent has the shape {tuple(x0.shape)}, and the direction has "
            f"{tuple(source.v.shape[1:])}; bring the picture to the size of the one it was found on."
        )
    return x0[None]


def _edited(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    source: PullbackBasis,
    index: int,
    found: PullbackBasis,
    strength: float,
    least: float,
) -> Applied:
    carried, alignment = transported_basis(index, source, found, method=FITTED)
    feature = source.provenance.get("feature")
    verdict = describe_alignment(alignment, feature)
    if feature == PICTURE and alignment < least:
        return Applied(None, alignment, f"left alone: the direction {verdict}")
    x0 = ddim.generate(denoiser, edit_by(denoiser, noisy, carried, [strength]))[0]
    if not torch.isfinite(x0).all():
        raise ValueError("the edit led to numbers that are not finite; choose a smaller strength.")
    return Applied(x0, alignment, verdict)
