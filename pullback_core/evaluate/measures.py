"""What is measured in the two ends of an edit: pictures of faces, and the attributes read from them.

A change is the difference of the attributes of two pictures in standard deviations over random faces: one
number for each name in `faces.NAMES`.
"""

import torch

from .. import faces

COLOURS = tuple(index for index, name in enumerate(faces.NAMES) if name.endswith(("_red", "_green", "_blue")))
FORMS = tuple(index for index in range(len(faces.NAMES)) if index not in COLOURS)


def attribute_change(
    regressor: faces.AttributeRegressor, plus: torch.Tensor, minus: torch.Tensor
) -> torch.Tensor:
    """The change of the attributes from one picture to another.

    Args:
        regressor: Reads attributes from pictures.
        plus: (b, 3, 48, 48) RGB in [-1, 1].
        minus: Pictures of the same shape.

    Returns:
        (b, 22) in standard deviations over random faces.
    """
    with torch.no_grad():
        return (regressor(plus) - regressor(minus)) / regressor.deviation


def concentration(change: torch.Tensor) -> torch.Tensor:
    """The share of the strongest attribute in all change: (b, n) -> (b,). 1 is one thing alone."""
    size = change.abs()
    return size.amax(dim=1) / size.sum(dim=1)


def distinct_attributes(change: torch.Tensor) -> int:
    """How many different attributes are the strongest one of some row of (b, n)."""
    return len(change.abs().argmax(dim=1).unique())


def success(change: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """The cosine of two changes, (b, n) each: 1 is the same change, 0 is chance."""
    return torch.cosine_similarity(change, wanted, dim=1)


def off_face(regressor: faces.AttributeRegressor, picture: torch.Tensor) -> torch.Tensor:
    """How far pictures are from a face: the root mean square difference from the drawing read from them.

    Args:
        regressor: Reads attributes from pictures.
        picture: (b, 3, 48, 48) RGB in [-1, 1].

    Returns:
        (b,).
    """
    with torch.no_grad():
        drawing = faces.draw_faces(regressor(picture))
    return (picture - drawing).square().mean(dim=(1, 2, 3)).sqrt()


def share_inside(difference: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The share of the energy of a difference of pictures that lies inside a mask.

    Args:
        difference: (b, 3, h, w).
        mask: (h, w) in [0, 1].

    Returns:
        (b,) in [0, 1].
    """
    energy = difference.square().sum(dim=1)
    return (energy * mask).sum(dim=(1, 2)) / energy.sum(dim=(1, 2))
