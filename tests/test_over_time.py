"""Bases of one picture at several timesteps."""

import pytest
import torch

from pullback_core import Denoiser, NoisyLatent, bases_over_time, ddim, faces, local_basis
from pullback_core.linalg import subspaces


@pytest.fixture(scope="module")
def denoiser():
    return faces.FacesDenoiser(faces.load_model())


@pytest.fixture(scope="module")
def clean():
    return faces.encode_image(faces.example_faces([3]))


def test_each_basis_is_the_one_of_its_own_timestep(denoiser, clean):
    seen = []
    results = bases_over_time(
        denoiser,
        clean,
        [0.7, 0.4, 0.7],
        3,
        steps=20,
        refine=2,
        tolerance=1e-4,
        progress=lambda index, products, residual: seen.append((index, products)),
    )
    assert [result.basis.timestep for result in results] == pytest.approx([0.4, 0.7], abs=1e-3)
    assert {index for index, _ in seen} == {0, 1} and seen[-1][1] == results[1].basis.products
    for result in results:
        sigma = result.basis.sigma
        assert float(result.noisy.sigmas[0]) == pytest.approx(sigma) and result.noisy.sigmas[-1] == 0
        alone = local_basis(denoiser, result.noisy, 3, tolerance=1e-4)
        torch.testing.assert_close(result.basis.s, alone.s, rtol=1e-2, atol=0)
        assert subspaces.geodesic_distance(result.basis, alone) < 0.05


def test_the_noise_levels_lead_back_to_the_picture(denoiser, clean):
    result = bases_over_time(denoiser, clean, [0.3, 0.6], 1, steps=20, refine=8)[-1]
    assert ddim.relative_error(ddim.generate(denoiser, result.noisy), clean) < 0.02


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


class Remembering(Denoiser):
    """The denoiser of a host whose objects remember noise levels. It notes the levels of each sampling."""

    def __init__(self, denoiser, depends):
        self.denoiser, self.depends = denoiser, depends
        self.schedule, self.provenance = denoiser.schedule, {}
        self.samplings, self.evaluations = [], []

    def denoise(self, x, sigma):
        self.evaluations.append(sigma)
        return self.denoiser.denoise(x, sigma)

    def encode(self, x, sigma):
        return self.denoiser.encode(x, sigma)

    def along(self, sigmas, in_order=False):
        self.samplings.append((len(sigmas), in_order))
        return self

    def depends_on_start(self, schedules, x0):
        assert [len(sigmas) for sigmas in schedules] == [9, 5] and x0.shape[0] == 1
        return self.depends


@pytest.mark.parametrize("depends", [False, True])
def test_inversions_share_levels_only_where_the_first_level_makes_no_difference(denoiser, clean, depends):
    remembering = Remembering(denoiser, depends)
    results = bases_over_time(remembering, clean, [0.3, 0.6], 1, steps=13, refine=0, tolerance=0.5)
    assert remembering.samplings == [(5, False), (9, False)]
    assert len(remembering.evaluations) == (12 if depends else 8)
    other = bases_over_time(denoiser, clean, [0.3, 0.6], 1, steps=13, refine=0, tolerance=0.5)
    torch.testing.assert_close(results[-1].noisy.x, other[-1].noisy.x)


def test_a_generation_runs_in_order(denoiser, clean):
    remembering = Remembering(denoiser, False)
    ddim.generate(remembering, NoisyLatent(clean, torch.tensor([1.0, 0.5, 0.0])))
    assert remembering.samplings == [(3, True)]
