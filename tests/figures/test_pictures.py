"""Conversions between images and pictures."""

import pytest
import torch

from pullback_core import figures


@pytest.mark.parametrize("height, width", [(16, 8), (8, 16), (5, 40), (3, 3000)])
def test_a_picture_keeps_its_aspect_when_it_is_resized(height, width):
    picture = figures.to_pil(torch.zeros(3, height, width), 256)
    assert picture.width == 256 and picture.height == max(1, round(256 * height / width))


def test_a_picture_of_an_image_is_that_image():
    image = torch.linspace(-1, 1, 3 * 4 * 5).view(3, 4, 5)
    assert (figures.from_pil(figures.to_pil(image)) - image).abs().max() <= 1 / 255


def test_a_direction_map_uses_the_whole_range_and_leaves_zero_grey():
    direction = torch.zeros(3, 8, 8)
    direction[0, 0, :4] = 1e-3
    shown = figures.direction_map(direction)
    assert shown.max() == 1 and shown[1:].abs().max() == 0
    assert figures.direction_map(torch.zeros(3, 8, 8)).abs().max() == 0
