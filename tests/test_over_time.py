"""Bases of one picture at several timesteps."""

import pytest
import torch

from pullback_core import bases_over_time, ddim, faces, geometry, local_basis


@pytest.fixture(scope="module")
def denoiser():
    return faces.FacesDenoiser(faces.load_model())


@pytest.fixture(scope="module")
def clean():
    return faces.encode_image(faces.example_faces([3]))


def test_each_basis_is_the_one_of_its_own_timestep(denoiser, clean):
    seen = []
    moments = bases_over_time(denoiser, clean, [0.7, 0.4, 0.7], 3, steps=20, refine=2, tolerance=1e-4,
                              progress=lambda index, products, residual: seen.append((index, products)))
    assert [moment.basis.timestep for moment in moments] == pytest.approx([0.4, 0.7], abs=1e-3)
    assert {index for index, _ in seen} == {0, 1} and seen[-1][1] == moments[1].basis.products
    for moment in moments:
        sigma = moment.basis.sigma
        assert float(moment.sigmas[0]) == pytest.approx(sigma) and moment.sigmas[-1] == 0
        alone = local_basis(denoiser, denoiser.schedule.to_network(moment.x, sigma), sigma, 3, tolerance=1e-4)
        torch.testing.assert_close(moment.basis.s, alone.s, rtol=1e-2, atol=0)
        assert geometry.geodesic_distance(moment.basis, alone) < 0.05


def test_the_way_back_leads_to_the_picture(denoiser, clean):
    moment = bases_over_time(denoiser, clean, [0.3, 0.6], 1, steps=20, refine=8)[-1]
    assert ddim.relative_error(ddim.generate(denoiser, moment.x, moment.sigmas), clean) < 0.02


@pytest.mark.parametrize("timesteps, pictures, message", [
    ([], 1, "fractions of T"), ([0.5, 1.2], 1, "1.2"), ([0.0], 1, "above 0"), ([0.5], 2, "one picture"),
    ([0.7, 0.7 + 1e-12], 1, "hardly differ"), ([float("nan")], 1, "fractions"),
])
def test_wrong_requests_are_refused(denoiser, clean, timesteps, pictures, message):
    with pytest.raises(ValueError, match=message):
        bases_over_time(denoiser, clean.expand(pictures, -1, -1, -1), timesteps, 2)
