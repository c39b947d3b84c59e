"""How much each attribute of a face changes in an edit, as the bundled regressor reads it."""

import torch

from .. import faces


def attribute_changes(row: list[torch.Tensor]) -> dict[str, float]:
    """Measure how the attributes change from the first image of a row to the last.

    Args:
        row: Images (3, h, w).

    Returns:
        The change of each attribute, in standard deviations over random faces.
    """
    regressor = faces.load_regressor()
    first, last = regressor(torch.stack([_middle_square(row[0]), _middle_square(row[-1])]))
    change = (last - first) / regressor.deviation
    return {name: round(value, 3) for name, value in zip(faces.NAMES, change.tolist())}


def describe_changes(changes: dict[str, float], count: int = 2) -> str:
    """Name the attributes that change most, one a line. Example: "smile +1.2" and "glasses -0.9".

    Args:
        changes: A result of `attribute_changes`.
        count: How many attributes to name.

    Returns:
        The lines. The three channels of a colour count as one attribute, which has no number.
    """
    largest: dict[str, float] = {}
    for name, value in changes.items():
        stem, _, channel = name.rpartition("_")
        name = f"{stem} colour" if channel in ("red", "green", "blue") else name.replace("_", " ")
        if name not in largest or abs(value) > abs(largest[name]):
            largest[name] = value
    names = sorted(largest, key=lambda name: -abs(largest[name]))[:count]
    return "\n".join(name if "colour" in name else f"{name} {largest[name]:+.1f}" for name in names)


def _middle_square(image: torch.Tensor) -> torch.Tensor:
    """The middle of an image (3, h, w) as (3, 48, 48), the size that the regressor reads."""
    top, left = ((side - faces.SIZE) // 2 for side in image.shape[1:])
    return image[:, top : top + faces.SIZE, left : left + faces.SIZE]
