"""Plots: what is in them, seen by their colours."""

import math
import sys

import numpy as np
import pytest
import torch

from pullback_core import figures

LOW, HIGH, GREY = (
    (68, 1, 84),
    (253, 231, 37),
    (228, 228, 224),
)  # both ends of the colours, and things compared with themselves
LAST = (187, 223, 39)  # of the curves, which end before the palest


def share(picture, colour):
    """The part of a picture's pixels that has a colour."""
    return (np.abs(np.asarray(picture, dtype=int) - colour).max(axis=2) <= 2).mean()


def test_a_heat_map_spreads_its_colours_over_what_is_not_zero():
    picture = figures.heat_map(
        torch.tensor([[0.0, 3.8], [4.1, 0.0]]), ["a", "b"], ["a", "b"], "title", "label"
    )
    assert min(share(picture, colour) for colour in (LOW, HIGH, GREY)) > 0.03


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 2), (20, 20)])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_heat_map_of_any_shape_may_hold_one_value_alone(shape, value):
    rows, columns = ([f"{index} T" for index in range(count)] for count in shape)
    picture = figures.heat_map(torch.full(shape, value), rows, columns)
    assert share(picture, HIGH if value else GREY) > 0.1 > share(picture, GREY if value else HIGH)


def test_a_heat_map_grows_with_its_matrix():
    small, large = (figures.heat_map(torch.rand(5, count), range(5), range(count)) for count in (5, 20))
    assert large.width > 2 * small.width and large.height == small.height


@pytest.mark.parametrize("count", [1, 2, 40])
def test_curves_are_drawn_whatever_their_number_and_lengths(count):
    angles = [
        (f"pair {index}", torch.linspace(0.03 * index, math.pi / 2, 2 + index % 3)) for index in range(count)
    ]
    spectra = [
        (f"{index} T", torch.arange(5 + index % 3), torch.full((5 + index % 3,), 1.2**index))
        for index in range(count)
    ]
    for picture in (figures.angle_plot(angles), figures.spectrum_plot(spectra)):
        assert picture.mode == "RGB" and picture.size == (720, 432)
        assert share(picture, LAST if count > 1 else LOW) > 0.001, "the last curve lies above the others"


# ---- sheets ----

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


@pytest.mark.parametrize("height, width", [(16, 8), (8, 16), (5, 40), (3, 3000)])
def test_a_picture_keeps_its_aspect_when_it_is_resized(height, width):
    picture = figures.to_pil(torch.zeros(3, height, width), 256)
    assert picture.width == 256 and picture.height == max(1, round(256 * height / width))


def test_a_sheet_needs_no_matplotlib_and_a_plot_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert figures.contact_sheet([("row", [framed(16, 8)])], ["a"], title="title").width > 100
    for draw in (
        lambda: figures.heat_map(torch.eye(2), ["a", "b"], ["a", "b"]),
        lambda: figures.empty_plot("x", "y", "title"),
    ):
        with pytest.raises(ImportError, match=r"need matplotlib.*pip install matplotlib"):
            draw()


# ---- labels ----


@pytest.mark.parametrize(
    "numbers, digits, labels",
    [
        ([0.4, 0.8], 2, ["0.4", "0.8"]),
        ([0.701, 0.704], 2, ["0.701", "0.704"]),
        ([0.7, 0.7], 2, ["0.7", "0.7"]),
        ([0.1, 0.7, 0.700001, 1.0], 2, ["0.1", "0.7", "0.700001", "1"]),
        ([0.1 + 0.2, 0.3], 2, ["0.30000000000000004", "0.29999999999999999"]),
        ([], 2, []),
    ],
)
def test_labels_of_different_numbers_differ(numbers, digits, labels):
    assert figures.number_labels(numbers, digits) == labels


def test_labels_with_a_sign_call_rounded_zero_zero():
    assert figures.number_labels([-1 / 3, -1e-17, 1 / 3], sign=True) == ["-0.333", "0", "+0.333"]
    assert figures.number_labels([-1e-5, 0.0, 1e-5], sign=True) == ["-1e-05", "0", "+1e-05"]
