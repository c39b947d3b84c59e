"""What directions do to the predicted picture, against differences of the picture."""

from dataclasses import replace

import pytest
import torch

from pullback_core import NoisyLatent, faces, local_basis
from pullback_core.directions.pictures import as_picture_basis, with_pictures
from pullback_core.directions.rotation import rotated_basis


@pytest.fixture(scope="module")
def case():
    model = faces.load_model()
    of_h, of_picture = (faces.FacesDenoiser(model, feature=name) for name in ("middle", "picture"))
    sigmas = of_h.schedule.sigmas(4, start=0.5)
    x0 = faces.encode_image(faces.example_faces([3]))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    noisy = NoisyLatent(of_h.schedule.add_noise(x0, noise, float(sigmas[0])), sigmas)
    return of_h, of_picture, noisy, local_basis(of_h, noisy, 2, tolerance=0.1)


def test_pictures_are_differences_of_the_predicted_picture(case):
    of_h, of_picture, noisy, basis = case
    known = with_pictures(basis, of_picture, noisy)
    step = 0.01
    along = step * of_h.schedule.scale(noisy.sigma) * basis.v
    with torch.no_grad():
        ahead, behind = (of_h.denoise(noisy.x + sign * along, noisy.sigma) for sign in (1, -1))
    error = (ahead - behind) / (2 * step) - known.pictures
    assert (error.flatten(1).norm(dim=1) < 0.03 * known.pictures.flatten(1).norm(dim=1)).all()
    assert known.products == basis.products + 2
    assert torch.equal(known.v, basis.v) and torch.equal(known.u, basis.u)


def test_a_basis_of_h_can_be_rotated_with_its_pictures(case):
    _, of_picture, noisy, basis = case
    turned = rotated_basis(with_pictures(basis, of_picture, noisy))
    torch.testing.assert_close(
        with_pictures(replace(turned, pictures=None), of_picture, noisy).pictures,
        turned.pictures,
        rtol=1e-3,
        atol=1e-3,
    )


def test_a_basis_of_the_picture_knows_already(case):
    _, of_picture, noisy, basis = case
    own = replace(basis, provenance={**basis.provenance, "feature": "picture"})
    assert with_pictures(own, of_picture, noisy) is own


def test_what_does_not_fit_is_refused(case):
    of_h, of_picture, noisy, basis = case
    with pytest.raises(ValueError, match="need a denoiser of the feature 'picture', got 'middle'"):
        with_pictures(basis, of_h, noisy)
    foreign = replace(basis, provenance={**basis.provenance, "model": "another"})
    with pytest.raises(ValueError, match="The basis is of the model another"):
        with_pictures(foreign, of_picture, noisy)
    with pytest.raises(ValueError, match="noise level"):
        with_pictures(replace(basis, sigma=2 * noisy.sigma), of_picture, noisy)


def test_directions_of_a_basis_of_h_as_those_of_the_picture(case):
    _, of_picture, noisy, basis = case
    known = with_pictures(basis, of_picture, noisy)
    own = as_picture_basis(known)
    torch.testing.assert_close(own.picture_changes(), known.pictures)
    assert own.pictures is None and own.provenance["feature"] == "picture"
    assert torch.equal(own.v, basis.v) and as_picture_basis(own) is own
    with pytest.raises(ValueError, match="does not know"):
        as_picture_basis(basis)
