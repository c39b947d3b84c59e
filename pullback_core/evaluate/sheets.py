"""Pictures for the page: one face, edited by every kind of directions."""

from collections.abc import Sequence

import torch
from PIL.Image import Image as Picture

from .. import faces, figures
from . import measurements
from .kinds import KINDS, directions_of
from .point import Point
from .store import Store

CELL = 96  # pixels


def kinds_sheet(store: Store, face: int) -> Picture:
    """Draw one face edited by every kind: a row for each kind, a column for each direction.

    All edits are straight moves at equal change of the picture, one way of each direction.

    Args:
        store: The cache, with the straight edits of the face.
        face: The number of the face.

    Returns:
        The sheet.
    """
    settings = store.settings
    point = Point(store, face, settings.default)
    rows: list[tuple[str, Sequence[torch.Tensor | None]]] = []
    notes = []
    for name, kind in KINDS.items():
        result = measurements.edits(name).read(store, face, settings.default)["equal_change"]
        lengths = torch.tensor(result["length"]).view(-1, 1, 1, 1) * point.norm
        ends = point.generate(lengths * directions_of(name, point).v)
        rows.append((kind.title, list(faces.decode_latent(torch.cat([point.clean, ends])))))
        notes.append("\n".join(wrapped(changed(result["change"]))))
    columns = ["unmoved", *(str(number) for number in range(1, settings.shown + 1))]
    title = (
        f"Face {face} at {settings.default:g} T: one way of each direction, at equal change of the picture"
    )
    return figures.contact_sheet(rows, columns, row_notes=notes, title=title, cell=CELL)


def changed(changes: list[list[float]]) -> list[str]:
    """The attributes that change most along each direction (k, 22), without repetitions, in this order."""
    strongest = torch.tensor(changes).abs().argmax(dim=1).tolist()
    return list(dict.fromkeys(faces.NAMES[index].replace("_", " ") for index in strongest))


def wrapped(words: list[str], width: int = 34) -> list[str]:
    """Words with commas, in lines of at most so many letters."""
    lines = [""]
    for word in words:
        longer = f"{lines[-1]}, {word}" if lines[-1] else word
        if len(longer) > width and lines[-1]:
            lines[-1] += ","
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
