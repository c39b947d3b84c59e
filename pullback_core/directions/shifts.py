"""What is strong in the shift of a word, and where it shows in the picture."""

import torch

NO_CHANGE = "The word changes nothing in the predicted picture, so it has no direction; choose another word."
WEAK = 0.3  # parts of a shift that are weaker than this share of its strongest part are left out
# Measured on the bundled model at 0.5 T, 44 faces and 356 words, at equal change. The share of the word in
# all change, against that of d_w at the latent: 1.40 times [1.33, 1.47] for edits blended with this mask,
# and 1.20 times [1.15, 1.26] without a mask.
SHOWS = (0.2, 0.5)


def strongest_part(shift: torch.Tensor, weak: float = WEAK) -> torch.Tensor:
    """A shift where it is strong, and nothing elsewhere.

    Its size at each place, over the channels, is made smaller by `weak` times the largest size.

    Args:
        shift: (c, h, w).
        weak: From 0, which changes nothing, up to but without 1.

    Returns:
        (c, h, w).

    Raises:
        ValueError: The shift is zero or not finite.
    """
    if not torch.isfinite(shift).all() or not shift.any():
        raise ValueError(NO_CHANGE)
    size = shift.square().sum(dim=0, keepdim=True).sqrt()
    left = (size - weak * size.max()).clamp(min=0)
    return shift * left / size.clamp(min=torch.finfo(size.dtype).tiny)


def where_it_shows(shift: torch.Tensor) -> torch.Tensor:
    """A soft mask of where a word changes the picture. An edit within it leaves the rest as it was.

    Args:
        shift: (c, h, w) the shift of the word.

    Returns:
        (h, w) in [0, 1]: 0 where the size of the shift over the channels is below the first share of `SHOWS`
        of the largest, 1 where it is above the second, and linear between them.

    Raises:
        ValueError: The shift is zero or not finite.
    """
    if not torch.isfinite(shift).all() or not shift.any():
        raise ValueError(NO_CHANGE)
    size = shift.square().sum(dim=0).sqrt()
    low, high = SHOWS
    return ((size / size.max() - low) / (high - low)).clamp(0, 1)
