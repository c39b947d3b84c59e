"""Mask Basis: the core's directions inside masks, and a search when it is asked for."""

import dataclasses

import pytest
import torch
from node_calls import edit, refused

OPTIONS = {"rank": 3, "tolerance": 0.2, "seed": 0, "feature": "picture", "precision": "as the model"}


def half(size, left=True):
    """A MASK, white in one half."""
    mask = torch.zeros(1, size, size)
    mask[:, :, : size // 2] = 1.0
    return mask if left else 1 - mask


def inside_share(changes, mask):
    energy = changes.square().sum(dim=1)
    return (energy * mask).sum(dim=(1, 2)) / energy.sum(dim=(1, 2))


@pytest.fixture(scope="module")
def of_picture(call, tiny):
    """The basis of the tiny model's predicted picture, with all that its search learned."""
    return call("PullbackBasis", **tiny.hosted, sigmas=tiny.sigmas, **OPTIONS, keep=True)[0]


@pytest.fixture(scope="module")
def face_of_picture(call, face):
    return call("PullbackBasis", **face.hosted, sigmas=face.sigmas, **OPTIONS, keep=True)[0]


def mask_basis(call, basis, mask, **options):
    return call("PullbackMaskBasis", basis=basis, mask=mask, **{"count": 2, "least": 0.1, **options})


def test_the_node_gives_the_cores_directions(call, comfy_host, tiny, of_picture):
    found, inside, report = mask_basis(call, of_picture, half(64))
    core = comfy_host.core.directions.masks.masked_basis(of_picture, [half(64)[0]], 2, least=0.1)
    assert torch.equal(found.v, core.basis.v) and report == core.report()
    assert inside == core.inside[0].item() > 0.5 and found.kind == "masked"
    torch.testing.assert_close(inside_share(found.picture_changes(), half(8)), core.inside)
    assert edit(call, {**tiny.inputs, "basis": found})["samples"].isfinite().all()


def test_several_masks_make_directions_for_each(call, of_picture):
    both = torch.cat([half(64), half(64, left=False)])
    found, _, report = mask_basis(call, of_picture, both, count=1)
    shares = inside_share(found.picture_changes(), half(8))
    assert found.rank == 2 and shares[0] > 0.5 > shares[1]
    assert [line[:6] for line in report.splitlines()] == ["mask 1", "mask 2"]


def test_masks_of_the_bundled_model_are_exact_to_the_pixel(call, comfy_host, face_of_picture):
    mask = torch.zeros(1, 48, 48)
    mask[:, 24:40, 16:31] = 1.0  # 31 is inside a latent pixel
    found, inside, _ = mask_basis(call, face_of_picture, mask, count=1)
    pixels = comfy_host.core.faces.decode_latent(found.picture_changes())
    assert inside == pytest.approx(inside_share(pixels, mask).item(), abs=1e-4)


def test_a_search_finds_more_inside(call, tiny, of_picture):
    hosted = {**tiny.hosted, "sigmas": tiny.sigmas}
    found, inside, _ = mask_basis(call, of_picture, half(64), search=True, **hosted)
    _, before, _ = mask_basis(call, of_picture, half(64))
    assert inside > before
    assert found.products > of_picture.products
    assert found.provenance == of_picture.provenance


def test_what_cannot_be_is_refused(call, tiny, of_picture):
    with refused("connect the model, conditioning, latent and sigmas"):
        mask_basis(call, of_picture, half(64), search=True)
    with refused("of the feature 'middle' does not know"):
        mask_basis(call, tiny.basis, half(64))
    with refused("mask is empty"):
        mask_basis(call, of_picture, torch.zeros(1, 64, 64))
    stranger = dataclasses.replace(of_picture, provenance={**of_picture.provenance, "model": "another"})
    with refused("The basis is of another model"):
        mask_basis(call, stranger, half(64), search=True, **tiny.hosted, sigmas=tiny.sigmas)
