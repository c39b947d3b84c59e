"""Plots: their colours tell what they show."""

import math
import sys
from functools import partial

import numpy as np
import pytest
import torch

from pullback_core import figures

LOW, HIGH = (68, 1, 84), (253, 231, 37)  # both ends of the colours
GREY = (228, 228, 224)  # of zeros
LAST = (187, 223, 39)  # of the last curve; the palest colours are left out


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


@pytest.mark.parametrize(
    "draw",
    [
        partial(figures.heat_map, torch.eye(2), ["a", "b"], ["a", "b"]),
        partial(figures.empty_plot, "x", "y", "title"),
    ],
)
def test_a_plot_without_matplotlib_says_what_to_install(draw, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"need matplotlib.*pip install matplotlib"):
        draw()
