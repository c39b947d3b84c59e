"""Rotated bases: of pictures whose parts are known, and of the bundled model's."""

from dataclasses import replace

import pytest
import torch

from pullback_core import NoisyLatent, PullbackBasis, faces, feature_jacobian, local_basis
from pullback_core.directions.rotation import rotated_basis, varimax

PARTS = 4  # each a block of 2 x 4 pixels in one of 2 channels


def parts():
    """(4, 2, 4, 4) unit pictures: the halves of a picture, each in either channel."""
    pictures = torch.zeros(PARTS, 2, 4, 4, dtype=torch.float64)
    pictures[0, 0, :2] = pictures[1, 1, :2] = pictures[2, 0, 2:] = pictures[3, 1, 2:] = 1
    return pictures / pictures[0].norm()


def random_rotation(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(PARTS, PARTS, generator=generator, dtype=torch.float64))[0]


def entangled(seed=0, s=(4.0, 3.0, 2.0, 1.0), **changes):
    """A basis of the feature "picture" whose u are random mixtures of the parts, and whose v are random."""
    generator = torch.Generator().manual_seed(seed + 10)
    v = torch.linalg.qr(torch.randn(32, PARTS, generator=generator, dtype=torch.float64))[0].T
    u = random_rotation(seed) @ parts().flatten(1)
    options = {"products": 9, "converged": True, "sigma": 1.0, "timestep": 0.5, **changes}
    return PullbackBasis(
        v=v.view(-1, 2, 4, 4),
        s=torch.tensor(s, dtype=torch.float64),
        u=u.view(-1, 2, 4, 4),
        residuals=torch.zeros(PARTS),
        provenance={"feature": "picture"},
        **options,
    )


def jacobian_of(basis):
    """The matrix of which a basis holds all singular triplets."""
    return basis.u.flatten(1).T @ torch.diag(basis.s) @ basis.v.flatten(1)


def cosines(one, other):
    one, other = one.flatten(1), other.flatten(1)
    return (one @ other.T) / one.norm(dim=1)[:, None] / other.norm(dim=1)


@pytest.mark.parametrize("seed", range(3))
def test_varimax_finds_the_parts_of_a_mixture(seed):
    mixture = random_rotation(seed) @ parts().flatten(1)
    rotation = varimax(mixture)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(PARTS, dtype=torch.float64))
    assert (cosines(rotation @ mixture, parts()).abs().amax(dim=1) > 1 - 1e-6).all()


@pytest.mark.parametrize("seed", range(3))
def test_each_direction_changes_one_part(seed):
    found = cosines(rotated_basis(entangled(seed)).u, parts())
    assert (found.amax(dim=1) > 1 - 1e-6).all(), "a direction adds, it does not take"
    assert sorted(found.argmax(dim=1).tolist()) == [0, 1, 2, 3]


def test_directions_do_what_u_and_s_say():
    basis = entangled()
    turned = rotated_basis(basis)
    products = turned.v.flatten(1) @ jacobian_of(basis).T
    torch.testing.assert_close(products, turned.s[:, None] * turned.u.flatten(1))
    for rows in (turned.v, turned.u):
        torch.testing.assert_close(rows.flatten(1).norm(dim=1), torch.ones(PARTS, dtype=torch.float64))
    assert turned.kind == "rotated" and turned.rank == PARTS and turned.products == basis.products


def test_the_region_with_the_most_prominent_direction_comes_first_and_channels_ascend_in_it():
    turned = rotated_basis(entangled())
    order = cosines(turned.u, parts()).argmax(dim=1).tolist()
    assert order in ([0, 1, 2, 3], [2, 3, 0, 1])
    # All parts are of one size, so the response alone makes one more prominent.
    assert turned.s[:2].max() > turned.s[2:].max()


def test_a_small_part_comes_before_a_large_one_of_the_same_response():
    pictures = torch.zeros(2, 1, 4, 4, dtype=torch.float64)
    pictures[0, 0, :3], pictures[1, 0, 3, :2] = 1, -1
    u = pictures / pictures.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    basis = entangled()
    two = replace(
        basis,
        v=torch.eye(2, 16, dtype=torch.float64).view(-1, 1, 4, 4),
        s=torch.ones(2, dtype=torch.float64),
        u=u,
        residuals=torch.zeros(2),
    )
    turned = rotated_basis(two)
    assert (cosines(turned.u, u).diagonal() < 0.1).all() and cosines(turned.u, u)[0, 1] < -0.99


@pytest.mark.parametrize("change", ["signs", "mixtures of equal responses"])
def test_what_a_search_leaves_open_changes_nothing(change):
    basis = entangled(s=(2.0, 2.0, 1.0, 1.0))
    if change == "signs":
        signs = torch.tensor([-1.0, 1, -1, -1], dtype=torch.float64).view(-1, 1, 1, 1)
        other = replace(basis, v=basis.v * signs, u=basis.u * signs)
    else:
        turn = torch.eye(PARTS, dtype=torch.float64)
        turn[:2, :2] = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
        other = replace(
            basis,
            v=(turn @ basis.v.flatten(1)).view_as(basis.v),
            u=(turn @ basis.u.flatten(1)).view_as(basis.u),
        )
    one, other = rotated_basis(basis), rotated_basis(other)
    torch.testing.assert_close(one.v, other.v, rtol=0, atol=1e-4)
    torch.testing.assert_close(one.u, other.u, rtol=0, atol=1e-4)


def test_a_basis_of_another_feature_is_turned_by_its_pictures():
    basis = entangled()
    generator = torch.Generator().manual_seed(3)
    u = torch.linalg.qr(torch.randn(7, PARTS, generator=generator, dtype=torch.float64))[0].T
    changes = basis.picture_changes()
    of_h = replace(basis, u=u, pictures=changes, provenance={"feature": "middle"}, names=list("abcd"))
    turned = rotated_basis(of_h)
    assert (cosines(turned.pictures, parts()).amax(dim=1) > 1 - 1e-6).all()
    torch.testing.assert_close(
        turned.v.flatten(1) @ jacobian_of(of_h).T, turned.s[:, None] * turned.u.flatten(1)
    )
    torch.testing.assert_close(
        turned.v.flatten(1) @ jacobian_of(basis).T, turned.pictures.flatten(1), msg="pictures are J0 v"
    )
    assert turned.names == []


def test_directions_that_change_the_picture_alike_become_one():
    basis = entangled()
    changes = basis.picture_changes().clone()
    changes[3] = changes[2]
    turned = rotated_basis(replace(basis, pictures=changes))
    assert turned.rank == PARTS - 1


def test_a_basis_without_pictures_is_refused():
    with pytest.raises(ValueError, match="does not know what its directions do to the picture"):
        rotated_basis(replace(entangled(), provenance={"feature": "middle"}))
    with pytest.raises(ValueError, match="do nothing to the picture"):
        rotated_basis(replace(entangled(), pictures=torch.zeros(PARTS, 2, 4, 4)))


def test_a_rotated_basis_is_saved_and_loaded(tmp_path):
    turned = rotated_basis(entangled())
    turned.save(tmp_path / "basis.safetensors")
    loaded = PullbackBasis.load(tmp_path / "basis.safetensors")
    assert loaded.kind == "rotated" and torch.equal(loaded.v, turned.v)


def test_directions_of_a_face_are_sparse_and_repeat_under_another_seed():
    denoiser = faces.FacesDenoiser(faces.load_model(), feature="picture")
    sigmas = denoiser.schedule.sigmas(4, start=0.5)
    x0 = faces.encode_image(faces.example_faces([40]))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    noisy = NoisyLatent(denoiser.schedule.add_noise(x0, noise, float(sigmas[0])), sigmas)
    plain, other = (local_basis(denoiser, noisy, 8, seed=seed) for seed in (0, 1))
    turned, again = rotated_basis(plain), rotated_basis(other)
    assert ((turned.u * again.u).flatten(1).sum(dim=1) > 0.99).all()
    assert turned.u.pow(4).sum() > 1.5 * plain.u.pow(4).sum()
    jacobian = feature_jacobian(denoiser, noisy)
    torch.testing.assert_close(
        jacobian.jvp(turned.v), turned.s.view(-1, 1, 1, 1) * turned.u, rtol=0, atol=0.05 * float(plain.s[0])
    )
