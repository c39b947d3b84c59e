"""Settings: several directions at once, each at a strength of its own, mixed into one direction."""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from ..basis import PullbackBasis
from ..linalg.precision import without_autocast
from .mixing import Part, mix, sum_in_words
from .pictures import as_picture_basis
from .preview import seen_sizes, unit_lengths
from .strength import UNIT

MOST = 100.0  # strengths beyond it are mistakes: no picture is left from about 10 on
SMALLEST = 1e-6  # a total strength below it is rounding
MOST_NAMED = 4  # parts of a setting that its name tells


class MixedSetting(NamedTuple):
    """One direction for a whole setting.

    Attributes:
        basis: The direction, a basis of rank 1, of kind "mixed" and of the feature "picture".
        strength: The strength of an edit along it that is the whole setting, in units of what is seen.
    """

    basis: PullbackBasis
    strength: float


@without_autocast()
def mix_setting(
    basis: PullbackBasis,
    amounts: Sequence[float] | torch.Tensor,
    words: Sequence[Part] = (),
    *,
    mask: torch.Tensor | None = None,
    name: str = "",
) -> MixedSetting:
    """Mix a setting of directions and words into one direction. The model is not evaluated.

    The move along direction i has the length c_i UNIT / rms(J0 v_i), where c_i is its strength: to first
    order it changes the picture by c_i units. The mixture is the sum of these moves. Its strength is what the
    sum does to the picture, to first order: rms(sum of J0 of the moves) / UNIT. Directions that undo each
    other have less strength together.

    Args:
        basis: Any basis that knows what its directions do to the picture.
        amounts: The strength of each of its directions, (rank,) finite numbers. 0 leaves a direction out.
        words: Other directions at the same noisy latent, such as those of words, and the strength of each:
            bases of rank 1. Their vectors need not lie in the span of the basis.
        mask: (h, w) or broadcastable to the latent, 1 where the edit may act. Changes are measured inside it.
        name: The name of the mixture; "" makes one of the strengths and names of the parts.

    Returns:
        The direction and its strength, which is positive.

    Raises:
        ValueError: There is another number of strengths than of directions, a strength is not finite or is
            above 100, nothing is set, a basis does not know what it does to the picture, the bases do not
            belong together, or the parts of the setting cancel each other.
    """
    strengths = _checked(amounts, basis.rank)
    parts: list[Part] = []
    names = []
    for index, strength in enumerate(strengths):
        if strength:
            parts.append((as_picture_basis(basis.select([index])), strength))
            names.append(basis.name(index) or f"direction {index + 1}")
    for direction, strength in words:
        [strength] = _checked([strength], direction.rank)
        if strength:
            parts.append((as_picture_basis(direction), strength))
            names.append(direction.name(0) or "unnamed")
    if not parts:
        raise ValueError("Nothing is set: every strength is 0; give at least one direction a strength.")
    moves = [(one, strength * float(unit_lengths(one, mask))) for one, strength in parts]
    changes = torch.zeros_like(basis.picture_changes()[:1], dtype=torch.float64, device="cpu")
    for one, length in moves:
        changes += length * one.picture_changes().cpu().double()
    total = float(seen_sizes(changes, mask)) / UNIT
    if not total > SMALLEST:
        raise ValueError(
            "The parts of the setting cancel each other, so nothing is left; change one of them."
        )
    return MixedSetting(mix(moves, name=name or described(names, [strength for _, strength in parts])), total)


def unit_metric(basis: PullbackBasis, mask: torch.Tensor | None = None) -> torch.Tensor:
    """Inner products of the moves that each change the picture by one unit, to first order.

    They tell how long the move of a setting is: the square of its length is c^T G c for the strengths c. A
    page that looks for directions inside a region weighs long moves less, as `masks` does.

    Args:
        basis: A basis that knows what its directions do to the picture.
        mask: As in `mix_setting`.

    Returns:
        G, (rank, rank) in float64 on the CPU.

    Raises:
        ValueError: As in `unit_lengths`.
    """
    moves = unit_lengths(basis, mask)[:, None] * basis.v.detach().flatten(1).cpu().double()
    return moves @ moves.T


def described(names: Sequence[str], strengths: Sequence[float]) -> str:
    """A setting in words, like "smiling - 0.5 direction 3".

    Parts of strength 0 are left out. Of many parts, the strongest are told, and how many more there are.

    Args:
        names: The name of each part.
        strengths: The strength of each part.

    Returns:
        The text, "" where every strength is 0.
    """
    sizes = sorted((abs(strength) for strength in strengths), reverse=True)
    least = sizes[MOST_NAMED - 1] if len(sizes) >= MOST_NAMED else 0.0
    told = [
        (name, strength) for name, strength in zip(names, strengths) if strength and abs(strength) >= least
    ]
    more = sum(strength != 0 for strength in strengths) - len(told)
    return sum_in_words(told, ".3g") + (f" and {more} more" if more else "")


def _checked(amounts: Sequence[float] | torch.Tensor, rank: int) -> list[float]:
    """Strengths as floats. Refuses another number of them than `rank`, and what is no strength."""
    strengths = torch.as_tensor(amounts, dtype=torch.float64).flatten().tolist()
    if len(strengths) != rank:
        raise ValueError(
            f"A setting has a strength for each of the {rank} directions, got {len(strengths)} strengths."
        )
    for strength in strengths:
        # Written so that NaN fails.
        if not abs(strength) <= MOST:
            raise ValueError(f"A strength is a number from -{MOST:g} to {MOST:g}, got {strength}.")
    return strengths
