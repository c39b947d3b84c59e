"""A face at one noise level, and its bases."""

import torch

from pullback_core.evaluate.point import BOTTLENECK, Point, Search
from pullback_core.models.denoiser import PICTURE


def test_a_point_returns_to_its_picture(store, point):
    assert point.noisy.sigma > 0 and point.clean.shape == point.noisy.x.shape
    rounded = Point(store, 0, 0.5, rounded=True)
    difference = (rounded.picture - point.picture).abs().max()
    assert 0 < difference <= 0.5 / 127.5 + 1e-6
    assert not torch.equal(rounded.noisy.x, point.noisy.x)


def test_bases_are_kept_in_the_cache(store, point):
    search = Search(PICTURE, seed=5)
    before = set(store.folder.iterdir())
    found = point.basis(search)
    written = set(store.folder.iterdir()) - before
    again = Point(store, 0, 0.5).basis(search)
    assert len(written) == 1 and torch.equal(again.v, found.v)


def test_every_basis_knows_what_it_does_to_the_picture(point):
    basis = point.basis(Search(BOTTLENECK))
    torch.testing.assert_close(basis.picture_changes(), point.products(basis.v), rtol=1e-3, atol=1e-4)
    assert point.basis(Search(BOTTLENECK), rotated=True).kind == "rotated"
    assert point.deep_basis().search_space is not None
