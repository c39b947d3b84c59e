"""Where the parts of a face are in its picture, so that a mask of them can be made without a person.

A part is where the drawing changes when the parameters of this part alone change.
"""

import torch
import torch.nn.functional as F

from .. import faces
from ..faces.parameters import COLUMN, columns

CLEAR_CHANGE = 0.2  # a change of a channel, in [-1, 1], that counts in full; smaller ones count by their size
WIDER = 1  # pixels by which a part grows on each side

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


def part_mask(parameters: torch.Tensor, part: str) -> torch.Tensor:
    """Find a part of a face: 1 on the part and one pixel around it, and less on one pixel more.

    Args:
        parameters: (22,) of one face, as a regressor reads them from its picture.
        part: One of `PARTS`.

    Returns:
        (48, 48) in [0, 1]. It is 0 everywhere if the part does not show, such as the hair of a bald head.

    Raises:
        ValueError: There is no such part.
    """
    if part not in PARTS:
        raise ValueError(f"There is no part {part!r}; choose one of {', '.join(PARTS)}.")
    drawings = faces.draw_faces(PARTS[part](parameters))
    change = (drawings.amax(dim=0) - drawings.amin(dim=0)).amax(dim=0)
    cover = (change / CLEAR_CHANGE).clamp(0, 1)[None, None]
    side = 2 * WIDER + 1
    wider = F.max_pool2d(cover, side, stride=1, padding=WIDER)
    blurred = F.avg_pool2d(wider, 3, stride=1, padding=1)
    return torch.maximum(wider, blurred)[0, 0]


def _with(parameters: torch.Tensor, changes: list[dict[str, float]]) -> torch.Tensor:
    """The same face several times, with other values of some parameters: (len(changes), 22)."""
    variants = parameters.clone().repeat(len(changes), 1)
    for variant, change in zip(variants, changes):
        for name, value in change.items():
            variant[COLUMN[name]] = value
    return variants


def _mouth(parameters: torch.Tensor) -> torch.Tensor:
    shapes = [{"smile": smile, "mouth_open": gape} for smile in (0.0, 0.5, 1.0) for gape in (0.0, 1.0)]
    return _with(parameters, shapes)


def _eyes(parameters: torch.Tensor) -> torch.Tensor:
    return _with(parameters, [{"eye_size": size} for size in (0.0, 0.5, 1.0)])


def _hair(parameters: torch.Tensor) -> torch.Tensor:
    # A beard has the colour of the hair, and is not the hair.
    return _in_colours(_with(parameters, [{"beard": 0.0}] * 2), "hair")


def _shirt(parameters: torch.Tensor) -> torch.Tensor:
    # A hat has the colour of the shirt, and is not the shirt.
    return _in_colours(_with(parameters, [{"hat": 0.0}] * 2), "shirt")


def _in_colours(pair: torch.Tensor, name: str) -> torch.Tensor:
    """Two faces (2, 22) of which one has a black part, and one a white one."""
    pair[:, columns(name)] = torch.tensor([BLACK, WHITE]).to(pair)
    return pair


PARTS = {"mouth": _mouth, "eyes": _eyes, "hair": _hair, "shirt": _shirt}
