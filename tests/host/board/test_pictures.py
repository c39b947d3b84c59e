"""The small pictures of a board."""

import os

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(scope="module")
def pictures(comfy_host):
    return comfy_host.adapter.board.pictures


def draw(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3))


def test_a_row_holds_a_change_to_half_a_step(pictures):
    change = 0.4 * (draw(3, 20, 30) - 0.5)
    row = pictures.row_of(change)
    assert row.values.shape == (20, 30, 3) and row.values.dtype == np.uint8
    levels = 255 * change.permute(1, 2, 0).numpy()
    assert np.abs(row.levels() - levels).max() <= row.scale / 2 + 1e-4
    assert row.scale == pytest.approx(np.abs(levels).max() / 127)
    still = pictures.row_of(torch.zeros(3, 4, 4))
    assert still.scale > 0 and not still.levels().any()


def test_the_change_is_the_mean_of_both_sides_where_there_is_room(pictures):
    still = torch.full((1, 3, 1, 1), 0.5)
    change = pictures.change_of(still - 0.1, still, still + 0.3)
    torch.testing.assert_close(change, torch.full_like(change, 0.2))


@pytest.mark.parametrize(("level", "change"), [(1.0, -0.3), (0.0, 0.3), (0.9, -0.3), (0.2, 0.3)])
def test_a_bright_or_dark_picture_can_change(pictures, level, change):
    """The decoder cuts off one side."""
    still = torch.full((1, 3, 1, 1), level)
    for sign in (1, -1):
        minus, plus = (still - sign * change).clamp(0, 1), (still + sign * change).clamp(0, 1)
        found = pictures.change_of(minus, still, plus)
        torch.testing.assert_close(found, torch.full_like(found, sign * change))


def test_sizes(pictures):
    assert pictures.small_size(48, 48, 32) == (48, 48)
    assert pictures.small_size(1024, 768, 32) == (512, 384)
    assert pictures.small_size(768, 1024, 32) == (384, 512)
    width, height = pictures.small_size(1024, 1024, 80)
    assert height * 80 <= pictures.TALLEST and width == height > 200
    assert pictures.small_size(10_000, 1, 20) == (512, 1)


def test_small_levels_are_enlarged(pictures):
    levels = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    large = pictures.enlarged(levels, (4, 4))
    assert large.shape == (4, 4, 3) and large[0, 0].tolist() == levels[0, 0].tolist()
    assert large.mean() == pytest.approx(levels.mean()) and pictures.enlarged(levels, (2, 2)) is levels


def test_pictures_are_shrunk_by_means(pictures):
    checks = torch.zeros(1, 3, 8, 8)
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1
    small = pictures.shrink(checks, (4, 2))
    torch.testing.assert_close(small, torch.full((1, 3, 2, 4), 0.5))
    assert pictures.shrink(checks, (8, 8)) is checks


def test_files_are_what_was_written_and_have_names_of_their_own(pictures, temporary):
    values = (255 * draw(12, 9, 3)).byte().numpy()
    one, other = pictures.write_temporary(values), pictures.write_temporary(values)
    assert one["filename"] != other["filename"] and (one["subfolder"], one["type"]) == ("", "temp")
    path = temporary / one["filename"]
    assert np.array_equal(np.asarray(Image.open(path)), values) and pictures.is_there(one)
    os.remove(path)
    assert not pictures.is_there(one)


def test_a_mask_is_grey_and_of_the_small_size(pictures):
    mask = torch.zeros(2, 8, 16)
    mask[0, :, :8] = 1
    values = pictures.mask_to_bytes(mask, (4, 2))
    assert values.tolist() == [[255, 255, 0, 0]] * 2
