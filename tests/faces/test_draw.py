"""Drawings of faces."""

import pytest
import torch
import torch.nn.functional as F

from pullback_core.faces.draw import draw_faces
from pullback_core.faces.parameters import COLUMN, NAMES, sample_parameters


def some(count, seed=0):
    return sample_parameters(count, torch.Generator().manual_seed(seed))


def test_drawings_are_reproducible_pictures():
    images = draw_faces(some(8))
    assert images.shape == (8, 3, 48, 48) and images.abs().max() <= 1
    assert torch.equal(images, draw_faces(some(8)))
    assert (images.flatten(1).std(dim=1) > 0.2).all()
    torch.testing.assert_close(images[2:3], draw_faces(some(8)[2:3]))


def test_resolution_is_free():
    small, large = draw_faces(some(8), 32), draw_faces(some(8), 128)
    assert (F.avg_pool2d(large, 4) - small).abs().mean() < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_shows(name):
    parameters = torch.full((2, len(NAMES)), 0.5)
    parameters[:, [COLUMN[other] for other in ("glasses", "beard", "hat")]] = 0.0
    parameters[:, COLUMN[name]] = torch.tensor([0.0, 1.0])
    low, high = draw_faces(parameters)
    assert (low - high).abs().mean() > 2e-3
