"""The kinds of directions."""

import pytest
import torch

from pullback_core import faces
from pullback_core.evaluate.kinds import CYCLES, KINDS, directions_of, smooth_directions


@pytest.mark.parametrize("kind", ["h", "picture_rotated", "words", "smooth"])
def test_directions_are_unit_and_know_their_change_of_the_picture(kind, point):
    directions = directions_of(kind, point)
    assert len(directions.v) == len(directions.pictures) == 2
    torch.testing.assert_close(directions.v.flatten(1).norm(dim=1), torch.ones(2))
    torch.testing.assert_close(directions.pictures, point.products(directions.v), rtol=1e-3, atol=1e-3)


def test_smooth_directions_have_low_frequencies_alone():
    spectrum = torch.fft.fft2(faces.decode_latent(smooth_directions(2, 0))).abs()
    frequency = torch.fft.fftfreq(faces.SIZE, 1 / faces.SIZE)
    high = torch.hypot(frequency[:, None], frequency[None, :]) > CYCLES
    assert spectrum[..., high].max() < 1e-4 * spectrum.max()
    assert not torch.equal(smooth_directions(2, 0), smooth_directions(2, 1))


def test_every_kind_has_a_title_of_its_own():
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)
