"""Moves: places on a path, and as far as the picture changes by a given amount."""

import pytest
import torch

from pullback_core.evaluate import moves
from pullback_core.evaluate.kinds import smooth_directions
from pullback_core.evaluate.point import load_denoiser


def test_a_path_is_straight_between_its_points_and_goes_on_behind_its_end():
    points = torch.tensor([0.0, 1.0, 3.0]).view(1, 3, 1, 1, 1)
    paths = points.expand(4, 3, 1, 1, 1)
    places = moves.displacement(paths, torch.tensor([0.5, 1.5, 2.0, 3.0]))
    torch.testing.assert_close(places.flatten(), torch.tensor([0.5, 2.0, 3.0, 5.0]))


def test_a_straight_path_leads_along_its_direction():
    directions = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    paths = moves.straight_path(directions)
    torch.testing.assert_close(moves.displacement(paths, torch.tensor([2.0, 3.0]))[1], 3 * directions[1])


def test_half_of_the_difference_of_both_ends():
    ends = torch.stack([torch.full((3, 2, 2), value) for value in (3.0, 1.0, -1.0, 1.0)])
    torch.testing.assert_close(moves.half_change(ends), torch.tensor([2.0, 0.0]))


def test_equal_change_is_reached(point):
    v = smooth_directions(2, 0)
    paths = moves.straight_path(torch.cat([v, -v]))
    far = moves.equal_change(load_denoiser(), point.noisy, paths, 0.1, torch.tensor([1.0, 60.0]))
    assert moves.half_change(point.generate(far)).tolist() == pytest.approx([0.1, 0.1], rel=0.3)


def test_the_first_step_of_guidance_is_on_its_path(point):
    path = moves.guided_path(load_denoiser(), point.noisy, smooth_directions(1, 0), 2, 1.0)
    assert path.shape[:2] == (1, 3) and not path[:, 0].any() and path[:, 2].any()
