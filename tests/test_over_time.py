"""Bases of one picture at several timesteps."""

import pytest
import torch

from pullback_core import bases_over_time, ddim, faces, local_basis
from pullback_core.linalg import subspaces


@pytest.fixture(scope="module")
def denoiser():
    return faces.FacesDenoiser(faces.load_model())


@pytest.fixture(scope="module")
def clean():
    return faces.encode_image(faces.example_faces([3]))


def test_each_basis_is_the_one_of_its_own_timestep(denoiser, clean):
    seen = []
    moments = bases_over_time(
        denoiser,
        clean,
        [0.7, 0.4, 0.7],
        3,
        steps=20,
        refine=2,
        tolerance=1e-4,
        progress=lambda index, products, residual: seen.append((index, products)),
    )
    assert [moment.basis.timestep for moment in moments] == pytest.approx([0.4, 0.7], abs=1e-3)
    assert {index for index, _ in seen} == {0, 1} and seen[-1][1] == moments[1].basis.products
    for moment in moments:
        sigma = moment.basis.sigma
        assert float(moment.sigmas[0]) == pytest.approx(sigma) and moment.sigmas[-1] == 0
        alone = local_basis(denoiser, denoiser.schedule.to_network(moment.x, sigma), sigma, 3, tolerance=1e-4)
        torch.testing.assert_close(moment.basis.s, alone.s, rtol=1e-2, atol=0)
        assert subspaces.geodesic_distance(moment.basis, alone) < 0.05


def test_the_way_back_leads_to_the_picture(denoiser, clean):
    moment = bases_over_time(denoiser, clean, [0.3, 0.6], 1, steps=20, refine=8)[-1]
    assert ddim.relative_error(ddim.generate(denoiser, moment.x, moment.sigmas), clean) < 0.02


@pytest.mark.parametrize(
    "timesteps, pictures, message",
    [
        ([], 1, "fractions of T"),
        ([0.5, 1.2], 1, "1.2"),
        ([0.0], 1, "above 0"),
        ([0.5], 2, "one picture"),
        ([0.7, 0.7 + 1e-12], 1, "hardly differ"),
        ([float("nan")], 1, "fractions"),
    ],
)
def test_wrong_requests_are_refused(denoiser, clean, timesteps, pictures, message):
    with pytest.raises(ValueError, match=message):
        bases_over_time(denoiser, clean.expand(pictures, -1, -1, -1), timesteps, 2)


class Remembering:
    """A denoiser of a host whose objects remember the levels they met: it notes along which way each picture is inverted."""

    def __init__(self, denoiser, depends):
        self.schedule, self.provenance, self.encode, self.denoise = (
            denoiser.schedule,
            {},
            denoiser.encode,
            denoiser.denoise,
        )
        self.depends, self.ways = depends, []

    def along(self, sigmas, in_order):
        self.ways.append((len(sigmas), in_order))
        return self

    def depends_on_start(self, ways, x0):
        assert [len(way) for way in ways] == [9, 5] and x0.shape[0] == 1
        return self.depends


@pytest.mark.parametrize("depends", [False, True])
def test_inversions_share_levels_only_where_the_start_of_a_way_makes_no_difference(denoiser, clean, depends):
    remembering, evaluations = Remembering(denoiser, depends), []
    remembering.denoise = lambda x, sigma: evaluations.append(sigma) or denoiser.denoise(x, sigma)
    moments = bases_over_time(remembering, clean, [0.3, 0.6], 1, steps=13, refine=0, tolerance=0.5)
    assert remembering.ways == [(5, False), (9, False)]
    assert len(evaluations) == (12 if depends else 8)
    other = bases_over_time(denoiser, clean, [0.3, 0.6], 1, steps=13, refine=0, tolerance=0.5)
    torch.testing.assert_close(moments[-1].x, other[-1].x)


def test_a_generation_runs_in_order(denoiser, clean):
    remembering = Remembering(denoiser, False)
    ddim.generate(remembering, clean, torch.tensor([1.0, 0.5, 0.0]))
    assert remembering.ways == [(3, True)]
