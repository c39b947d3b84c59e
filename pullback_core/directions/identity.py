"""A short text that tells a basis from others, so that a setting is used with its own basis alone.

The same basis, computed again, differs by rounding; another seed or machine turns its directions by a little.
So the text holds the signs of some projections of what each direction does to the picture, and two texts are
compared with a tolerance. A direction with the other sign, or in another place, is noticed.
"""

from collections.abc import Iterable

from ..basis import PullbackBasis, are_same_level
from ..models.fingerprint import picture_fingerprints

MARK = "1"  # the version of the text
DIGITS = 16  # hexadecimal digits for each direction: 64 signs
# Signs that may differ. Vectors at an angle of a radians differ in a / pi of their signs, so directions count
# as the same up to about 0.35 radians, a cosine of 0.94. Different ones have 32 of 64 signs in common.
MOST_DIFFERENT = 7
UNKNOWN = "-" * DIGITS  # of a direction that changes the whole picture evenly


def basis_id(basis: PullbackBasis) -> str:
    """The text of a basis.

    Args:
        basis: A basis that knows what its directions do to the picture.

    Returns:
        Its model, feature, noise level and the signs of its directions, with "|" between them.

    Raises:
        ValueError: The basis does not know what its directions do to the picture.
    """
    signs = ""
    for fingerprint in picture_fingerprints(basis.picture_changes()):
        signs += fingerprint[:DIGITS] or UNKNOWN
    model, feature = (basis.provenance.get(name, "") for name in ("model", "feature"))
    return "|".join([MARK, model, feature, f"{basis.sigma:.5g}", signs])


def is_same_basis(one: str, other: str, used: Iterable[int] | None = None) -> bool:
    """Whether two texts of `basis_id` are of one basis, apart from rounding.

    Args:
        one: A text of `basis_id`, or any other text.
        other: The same.
        used: The numbers of the directions that are compared, counted from 0; None compares all.

    Returns:
        False where either of them is no such text, unless they are equal.
    """
    if one == other:
        return True
    parts, others = one.split("|"), other.split("|")
    if len(parts) != 5 or len(others) != 5 or parts[:3] != others[:3] or len(parts[4]) != len(others[4]):
        return False
    try:
        levels_agree = are_same_level(float(parts[3]), float(others[3]))
    except ValueError:
        return False
    numbers = range(len(parts[4]) // DIGITS) if used is None else used
    places = [slice(DIGITS * number, DIGITS * (number + 1)) for number in numbers]
    return levels_agree and all(_are_same_signs(parts[4][place], others[4][place]) for place in places)


def _are_same_signs(one: str, other: str) -> bool:
    """Whether the signs of two directions are the same but for some."""
    if one == other:
        return True
    try:
        different = int(one, 16) ^ int(other, 16)
    except ValueError:  # one of them is unknown, or no text of ours
        return False
    return different.bit_count() <= MOST_DIFFERENT
