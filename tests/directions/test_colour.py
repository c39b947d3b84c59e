"""Changes of colour and changes of form."""

import torch

from pullback_core.directions.colour import flat_share, recolours


def disc(radius, x=24.0):
    ys, xs = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    return ((ys - 24).square() + (xs - x).square() <= radius**2).float()


def test_a_new_colour_of_a_region_is_flat_and_a_move_of_it_is_not():
    colour = torch.tensor([1.0, -0.5, 0.2]).view(3, 1, 1) * disc(14)
    moved = (disc(14, 25.5) - disc(14)).expand(3, -1, -1)
    changes = torch.stack([colour, moved])
    shares = flat_share(changes)
    assert shares[0] > 0.8 and shares[1] < 0.3
    assert recolours(changes).tolist() == [True, False]


def test_the_size_of_the_change_and_of_the_picture_do_not_count():
    change = torch.randn(1, 3, 30, 44, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(flat_share(change), flat_share(-7 * change))
    large = torch.nn.functional.interpolate(disc(14).expand(1, 3, -1, -1), scale_factor=4)
    torch.testing.assert_close(flat_share(large), flat_share(disc(14).expand(1, 3, -1, -1)))


def test_no_change_has_no_share():
    assert flat_share(torch.zeros(2, 3, 8, 8)).tolist() == [0.0, 0.0]
    assert flat_share(torch.ones(1, 3, 5, 5)).tolist() == [1.0]
