"""Names for the directions of a basis, from a list of words."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from ..basis import PullbackBasis

# The least cosine that makes a name. Of the first 8 of 16 rotated directions of 4 faces of the bundled model
# at 0.5 T, 18 of 32 get names, and 17 of these do what the name says. Below 0.5 about half of the names are
# wrong: no word names a shirt, and a shirt of the colour of the hat becomes "no hat".
STANDS_OUT = 0.5
TIE = 1e-6  # cosines that differ by less are equal


def named_basis(basis: PullbackBasis, shifts: Mapping[str, torch.Tensor]) -> PullbackBasis:
    """Name the directions of a basis after the words that change the picture as they do.

    The measure is the cosine of what a direction does to the picture and of the shift of a word. What all
    words have in common says nothing, so the mean over the words is removed. The largest names the direction,
    if it is at least `STANDS_OUT`. A direction that does the opposite of a word is named "less
    ..." after it.

    Args:
        basis: Any basis that knows what its directions do to the picture.
        shifts: word -> (c, h, w), the shift of the word at the same picture, see `words.word_shift`. The
            words should be of different things; with their opposites, names are better.

    Returns:
        The basis with names, "" for directions that no word describes. Directions and order stay.

    Raises:
        ValueError: The basis does not know what its directions do to the picture, there are fewer than two
            words, or a shift has another shape, is zero or not finite.
    """
    cosines = word_cosines(basis, shifts)
    words, names = list(shifts), []
    for row in cosines:
        # Of two equals, a word that the direction does is a better name than one whose opposite it does.
        largest = int((row.abs() + TIE * (row > 0)).argmax())
        if abs(row[largest]) < STANDS_OUT:
            names.append("")
        else:
            names.append(words[largest] if row[largest] > 0 else f"less {words[largest]}")
    return replace(basis, names=names)


def word_cosines(basis: PullbackBasis, shifts: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """How much each direction does what each word does, without what the words have in common.

    Args:
        basis: As in `named_basis`.
        shifts: As in `named_basis`.

    Returns:
        (rank, words), in float64 on the CPU.

    Raises:
        ValueError: As in `named_basis`.
    """
    if len(shifts) < 2:
        raise ValueError(f"Names need at least two words to choose from, got {len(shifts)}.")
    rows = []
    for word, shift in shifts.items():
        flat = shift.detach().flatten().cpu().double()
        if shift.shape != basis.v.shape[1:] or not torch.isfinite(flat).all() or not flat.any():
            raise ValueError(
                f"The shift of {word!r} must be a change of the picture of the shape "
                f"{tuple(basis.v.shape[1:])}, not zero and finite; got the shape {tuple(shift.shape)}."
            )
        rows.append(flat / flat.norm())
    changes = basis.picture_changes().flatten(1).cpu().double()
    changes = changes / changes.norm(dim=1, keepdim=True).clamp(min=torch.finfo(changes.dtype).tiny)
    cosines = changes @ torch.stack(rows).T
    return cosines - cosines.mean(dim=1, keepdim=True)
