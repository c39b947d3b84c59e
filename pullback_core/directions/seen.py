"""How much a move changes the picture, measured by a generation of few steps."""

import math
from collections.abc import Sequence

import torch

from .. import ddim
from ..basis import PullbackBasis
from ..guidance import vectors_of
from ..models.denoiser import Denoiser
from ..models.schedule import NoiseSchedule
from ..noisy import NoisyLatent
from .moves import move

PROBE = 0.01  # the first step along a direction of unknown response, as a share of the length of the latent

Way = tuple[int, float]  # the number of a direction, and 1 or -1


def short_way(schedule: NoiseSchedule, noisy: NoisyLatent, levels: int) -> NoisyLatent:
    """The same noisy latents with a way back of few steps, evenly spaced in time.

    Args:
        schedule: The noise schedule of the model.
        noisy: The noisy latents.
        levels: The number of steps.

    Returns:
        The noisy latents with their new noise levels.

    Raises:
        ValueError: There is less than one step, or the model does not have the noise level.
    """
    sigma = schedule.require_level(noisy.sigma)
    sigmas = schedule.sigmas(levels, start=schedule.fraction(sigma))
    sigmas[0] = sigma
    return NoisyLatent(noisy.x, sigmas)


class SeenChange:
    """The change of the picture by straight moves of one noisy latent.

    A change is told as a root mean square over the picture, in sampler coordinates.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        directions: (d, c, h, w) in network coordinates, or a basis at the same noise level.
        mask: (h, w) or broadcastable to x, 1 where the latent may move. The mean is taken inside it.
        levels: Steps of the generation. 1 takes the predicted picture.
        batch_size: Moves that run at once (memory); None runs all.

    Raises:
        ValueError: There is more than one latent, the basis is of another noise level, or the mask is empty.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        noisy: NoisyLatent,
        directions: torch.Tensor | PullbackBasis,
        mask: torch.Tensor | None = None,
        levels: int = 1,
        batch_size: int | None = None,
    ) -> None:
        if len(noisy) != 1:
            raise ValueError(f"Strengths are measured at one noisy latent, got {len(noisy)}.")
        self._denoiser, self._noisy = denoiser, short_way(denoiser.schedule, noisy, levels)
        self._directions, self._vectors = directions, vectors_of(directions, noisy)
        self._mask, self._batch_size = mask, batch_size
        self._weights = torch.ones_like(noisy.x) if mask is None else (mask * torch.ones_like(noisy.x))
        if not self._weights.any():
            raise ValueError("The mask is empty, so there is nothing to edit.")
        self._still: torch.Tensor | None = None

    def slopes(self) -> list[float]:
        """The change for each length of a move, to first order.

        A basis that knows what its directions do to the picture is asked, unless there is a mask. Otherwise
        each direction is probed by a short move.

        Returns:
            A number for each direction.

        Raises:
            ValueError: A direction does nothing to the picture.
        """
        slopes = self._known_slopes()
        if slopes is None:
            step = PROBE * self._noisy.x.norm().item() / self._denoiser.schedule.scale(self._noisy.sigma)
            probe = SeenChange(self._denoiser, self._noisy, self._directions, self._mask, 1, self._batch_size)
            ways = [(row, 1.0) for row in range(len(self._vectors))]
            slopes = [change / step for change in probe.changes(ways, [step] * len(ways))]
        for number, slope in enumerate(slopes):
            if not 0 < slope < math.inf:
                raise ValueError(
                    f"Direction {number} changes nothing in the picture, so no length gives it a strength."
                )
        return slopes

    def changes(self, ways: Sequence[Way], lengths: Sequence[float]) -> list[float]:
        """The change by each of several moves.

        Args:
            ways: For each move, its direction and the way along it.
            lengths: For each move, its length in network coordinates.

        Returns:
            A number for each move.
        """
        if self._still is None:
            self._still = ddim.generate(self._denoiser, self._noisy)
        rows = torch.tensor([row for row, _ in ways], device=self._vectors.device)
        signed = torch.tensor([sign * length for (_, sign), length in zip(ways, lengths)])
        size = self._batch_size or len(rows)
        changes = []
        for some, some_lengths in zip(rows.split(size), signed.split(size)):
            moved = move(self._denoiser, self._noisy, self._vectors[some], some_lengths, mask=self._mask)
            changes += self._sizes(ddim.generate(self._denoiser, moved) - self._still)
        return changes

    def _known_slopes(self) -> list[float] | None:
        basis = self._directions
        if self._mask is not None or not isinstance(basis, PullbackBasis) or not basis.knows_pictures():
            return None
        return self._sizes(basis.picture_changes().to(self._weights))

    def _sizes(self, changes: torch.Tensor) -> list[float]:
        """The root mean squares of changes (k, c, h, w) inside the mask."""
        weights = self._weights.float()
        squares = (changes.float().square() * weights).flatten(1).sum(dim=1)
        return (squares / weights.sum()).sqrt().tolist()
