"""Contact sheets: every picture is whole, in its own aspect, and apart from the others."""

import sys

import numpy as np
import pytest
import torch

from pullback_core import figures

EDGES = {"top": (200, 0, 0), "bottom": (0, 150, 0), "left": (0, 0, 200), "right": (200, 0, 200)}


def framed(height, width):
    """A grey picture (3, h, w) whose four edges have colours of their own."""
    image = torch.zeros(3, height, width)
    for name, colour in EDGES.items():
        place = {
            "top": (slice(0, 2), slice(None)),
            "bottom": (slice(-2, None), slice(None)),
            "left": (slice(2, -2), slice(0, 2)),
            "right": (slice(2, -2), slice(-2, None)),
        }[name]
        image[(slice(None), *place)] = (torch.tensor(colour) / 127.5 - 1).view(3, 1, 1)
    return image


def boxes(sheet, colour):
    """The boxes (top, left, bottom, right) of the connected parts of a sheet that have a colour."""
    from scipy.ndimage import find_objects, label

    found = np.abs(np.asarray(sheet, dtype=int) - colour).max(axis=2) <= 40
    return [
        (rows.start, columns.start, rows.stop, columns.stop)
        for rows, columns in find_objects(label(found)[0])
    ]


@pytest.mark.parametrize(
    "height, width", [(64, 64), (128, 64), (64, 128), (320, 40), (40, 320), (63, 48), (400, 20), (20, 400)]
)
@pytest.mark.parametrize("notes", [None, ["one line", "one\ntwo\nthree"]])
def test_a_sheet_shows_pictures_of_every_aspect_whole(height, width, notes):
    pictures = [framed(height, width) for _ in range(3)]
    rows = [("direction 1", pictures), ("direction 2", [pictures[0], None, pictures[2]])]
    sheet = figures.contact_sheet(rows, ["-1", "0", "+1"], row_notes=notes, title="title", cell=width)
    places = [boxes(sheet, colour) for colour in EDGES.values()]
    assert [len(found) for found in places] == [5] * 4
    whole = []
    for top, bottom, left, right in zip(*(sorted(found) for found in places), strict=True):
        assert (bottom[2] - top[0], right[3] - left[1]) == (height, width)
        assert top[1] == left[1] and top[3] == right[3] == bottom[3]
        whole.append((top[0], left[1], bottom[2], right[3]))
    for one in whole:
        assert 0 <= one[0] and 0 <= one[1] and one[2] <= sheet.height and one[3] <= sheet.width
        assert all(
            other is one
            or other[0] >= one[2]
            or other[2] <= one[0]
            or other[1] >= one[3]
            or other[3] <= one[1]
            for other in whole
        )


def test_pictures_of_different_aspects_share_a_row():
    sheet = figures.contact_sheet(
        [("row", [framed(32, 64), framed(128, 64)]), ("row", [framed(64, 64), None])], ["a", "b"], cell=64
    )
    sizes = sorted(
        bottom[2] - top[0]
        for top, bottom in zip(
            sorted(boxes(sheet, EDGES["top"]), key=lambda box: box[1:]),
            sorted(boxes(sheet, EDGES["bottom"]), key=lambda box: box[1:]),
        )
    )
    assert len(sizes) == 3 and sheet.height > 128 + 64


def test_a_sheet_needs_no_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert figures.contact_sheet([("row", [framed(16, 8)])], ["a"], title="title").width > 100


def test_a_placed_sheet_says_where_each_picture_is():
    tall, wide = torch.full((3, 40, 20), 0.5), torch.full((3, 20, 40), -0.5)
    rows = [("a", [tall, None, wide]), ("b", [wide, tall, tall])]
    options = {"row_notes": ["one\ntwo", ""], "title": "title", "cell": 30}
    sheet, places = figures.placed_contact_sheet(rows, ["-1", "0", "+1"], **options)
    assert sheet.tobytes() == figures.contact_sheet(rows, ["-1", "0", "+1"], **options).tobytes()
    assert places[0][1] is None
    for (_, images), boxes_of_row in zip(rows, places, strict=True):
        for image, place in zip(images, boxes_of_row, strict=True):
            if image is None:
                continue
            x, y, width, height = place
            assert (width, height) == (30, 30 * image.shape[1] // image.shape[2])
            part = np.asarray(sheet.crop((x, y, x + width, y + height)), dtype=int)
            assert np.abs(part - round(float(image[0, 0, 0] + 1) * 127.5)).max() <= 1
