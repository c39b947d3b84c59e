"""Directions inside masks: of linear models whose parts are known, and of the bundled model."""

from dataclasses import replace

import pytest
import torch

from pullback_core import Denoiser, NoisyLatent, VPSchedule, local_basis
from pullback_core.directions.masks import mask_weights, masked_basis

SHAPE = (2, 4, 4)
LEFT = torch.tensor([1.0, 1.0, 0.0, 0.0]).expand(4, 4)
RIGHT = 1 - LEFT


class Linear(Denoiser):
    """A denoiser with J0 = matrix / scale: two patterns on the left, one on the right, and one on both."""

    schedule = VPSchedule.scaled_linear(0.00085, 0.012)
    provenance = {"model": "linear", "feature": "picture", "prompt": "none"}

    def __init__(self):
        generator = torch.Generator().manual_seed(1)
        left, other_left, right, both = torch.randn(4, *SHAPE, generator=generator)
        patterns = torch.stack([left * LEFT, 0.5 * other_left * LEFT, 2 * right * RIGHT, 3 * both])
        causes = torch.linalg.qr(torch.randn(32, 4, generator=generator))[0].T
        self.matrix = patterns.flatten(1).T @ causes + 1e-3 * torch.eye(32)

    def denoise(self, x, sigma):
        return (x.flatten(1) @ self.matrix.T).view(-1, *SHAPE)

    encode = denoise


NOISY = NoisyLatent(
    torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(0)), torch.tensor([2.0, 0.0])
)


@pytest.fixture(scope="module")
def basis():
    return local_basis(Linear(), NOISY, 4, tolerance=1e-4, keep_space=True)


def changes_of(basis):
    """J0 v by the model itself."""
    return Linear().denoise(Linear.schedule.scale(basis.sigma) * basis.v, basis.sigma)


def share_of(changes, mask):
    energy = changes.square()
    return (energy * mask).sum(dim=(1, 2, 3)) / energy.sum(dim=(1, 2, 3))


def test_it_finds_all_that_changes_one_side_alone(basis):
    assert 0.3 < share_of(basis.picture_changes(), LEFT)[0] < 0.7  # the strongest changes both sides
    found = masked_basis(basis, [LEFT])
    assert found.basis.rank == 2 and found.regions == [0, 0]
    assert found.inside.min() > 0.97
    assert masked_basis(basis, [RIGHT]).basis.rank == 1


def test_what_it_says_is_what_the_model_does(basis):
    found = masked_basis(basis, [LEFT, RIGHT])
    changes = changes_of(found.basis)
    torch.testing.assert_close(found.basis.picture_changes(), changes, rtol=1e-3, atol=1e-4)
    expected = torch.cat([share_of(changes[:2], LEFT), share_of(changes[2:], RIGHT)])
    torch.testing.assert_close(found.inside, expected, rtol=1e-3, atol=1e-3)
    assert found.regions == [0, 0, 1] and found.basis.kind == "masked"
    assert changes.pow(3).sum(dim=(1, 2, 3)).min() > 0


def test_directions_of_a_mask_are_orthonormal_and_descend(basis):
    v = masked_basis(basis, [LEFT]).basis.v.flatten(1)
    torch.testing.assert_close(v @ v.T, torch.eye(2), rtol=0, atol=1e-4)
    s = masked_basis(basis, [LEFT]).basis.s
    assert s[0] > s[1] > 0


def test_a_search_space_gives_more_than_the_directions():
    few = local_basis(Linear(), NOISY, 1, tolerance=1e-4, keep_space=True)
    assert masked_basis(few, [RIGHT]).inside.max() > 0.98
    alone = masked_basis(replace(few, search_space=None), [RIGHT])
    assert alone.basis.rank == 1 and alone.inside.item() < 0.8
    assert alone.report().endswith("of the change lies inside the mask; search within the mask for more")


def test_a_basis_of_h_is_masked_by_its_pictures(basis):
    h = torch.randn(4, 7, generator=torch.Generator().manual_seed(3))
    s = h.norm(dim=1)
    of_h = replace(
        basis,
        u=h / s[:, None],
        s=s,
        pictures=basis.picture_changes(),
        provenance={**basis.provenance, "feature": "middle"},
        search_space=None,
    )
    found = masked_basis(of_h, [LEFT]).basis
    torch.testing.assert_close(found.pictures, changes_of(found), rtol=1e-3, atol=1e-4)
    coordinates = found.v.flatten(1) @ basis.v.flatten(1).T
    torch.testing.assert_close(found.s[:, None] * found.u, coordinates @ h, rtol=1e-3, atol=1e-4)
    with pytest.raises(ValueError, match="does not know what its directions do to the picture"):
        masked_basis(replace(of_h, pictures=None), [LEFT])


def test_directions_that_depend_on_each_other_are_no_obstacle(basis):
    v = torch.cat([basis.v, (basis.v[:1] + basis.v[1:2]) / 2**0.5])
    changes = changes_of(replace(basis, v=v))
    s = changes.flatten(1).norm(dim=1)
    mixed = replace(
        basis,
        v=v,
        s=s,
        u=changes / s.view(-1, 1, 1, 1),
        residuals=torch.zeros(5),
        kind="mixed",
        search_space=None,
    )
    independent = masked_basis(replace(basis, search_space=None), [LEFT])
    torch.testing.assert_close(masked_basis(mixed, [LEFT]).inside, independent.inside, rtol=0, atol=1e-3)


def test_the_count_and_the_least_share_limit_the_directions(basis):
    assert masked_basis(basis, [LEFT], 1).basis.rank == 1
    assert masked_basis(basis, [LEFT], 4, least=0.0).basis.rank == 4
    assert masked_basis(basis, [LEFT], 4, least=1.0).basis.rank == 1


def test_the_report_names_each_mask(basis):
    lines = masked_basis(basis, [LEFT, RIGHT]).report().splitlines()
    assert lines[0].startswith("mask 1: 2 directions, ") and lines[1].startswith("mask 2: 1.00 of the change")


def test_masks_are_brought_to_the_size_of_the_latent():
    pixels = torch.zeros(8, 8)
    pixels[:, :3] = 1.0
    weights = mask_weights(pixels, SHAPE)
    torch.testing.assert_close(weights, torch.tensor([1.0, 0.5, 0.0, 0.0]).expand(SHAPE))
    exact = torch.rand(SHAPE)
    assert torch.equal(mask_weights(exact, SHAPE), exact)


@pytest.mark.parametrize(
    "masks, message",
    [
        ([], "at least one mask"),
        ([torch.zeros(4, 4)], "empty"),
        ([torch.full((4, 4), 2.0)], "values from 0 to 1"),
        ([torch.full((4, 4), torch.nan)], "values from 0 to 1"),
        (torch.ones(4, 4), "has the shape"),
    ],
)
def test_masks_that_are_none_are_refused(basis, masks, message):
    with pytest.raises(ValueError, match=message):
        masked_basis(basis, masks)
    with pytest.raises(ValueError, match="At least one direction"):
        masked_basis(basis, [LEFT], 0)
