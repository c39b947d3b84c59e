"""Basis Over Time: the core's bases, as lists that belong together."""

from types import SimpleNamespace

import pytest
import torch
from node_calls import BASIS_OPTIONS, STEPS, equal_bases, over_time, refused, sample


def test_basis_over_time_gives_the_cores_bases_latents_and_ways_back(call, comfy_host, face, alone):
    bases, latents, ways = over_time(call, face, face.clean, timesteps=" .7,0.4, 0.7", steps=STEPS)
    expected = comfy_host.core.bases_over_time(
        alone.denoiser, alone.x0, [0.4, 0.7], 3, steps=STEPS, refine=1, tolerance=0.05, seed=0
    )
    assert len(bases) == len(latents) == len(ways) == len(expected) == 2
    for basis, latent, sigmas, moment in zip(bases, latents, ways, expected):
        assert comfy_host.core.subspaces.principal_angles(basis.v, moment.basis.v).max() < 0.02
        torch.testing.assert_close(basis.s, moment.basis.s, rtol=1e-3, atol=0)
        samples = comfy_host.adapter.noisy_latent(face.model, moment.noisy)["samples"]
        torch.testing.assert_close(latent["samples"], samples, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(sigmas, moment.noisy.sigmas)
        assert basis.provenance["model"] == moment.basis.provenance["model"]


def test_the_lists_of_basis_over_time_belong_together(call, face):
    """Its first entries go where those of DDIM Invert go, and lead back to the picture."""
    bases, latents, ways = over_time(call, face, face.clean, timesteps="0.3, 0.6", steps=20, refine=4)
    (basis,) = call(
        "PullbackBasis", **{**face.hosted, "latent": latents[0]}, sigmas=ways[0], rank=3, **BASIS_OPTIONS
    )
    assert equal_bases(basis, bases[0]), "the first search has nothing to start from, as any other"
    for latent, sigmas in zip(latents, ways):
        back = sample(call, SimpleNamespace(**face.hosted, sigmas=sigmas), latent)
        assert (back - face.clean["samples"]).norm() < 0.05 * face.clean["samples"].norm()


@pytest.mark.parametrize(
    "text", ["", "much", "0.9; 0.5", "0.9 0.5", "0,9", "0", "0.5, 1.01", "-0.3", "nan", "0.5,", "x" * 1000]
)
def test_timesteps_that_are_none_are_refused(call, tiny, text):
    with refused('above 0 and at most 1, with commas between them, such as "0.9, 0.7, 0.5"; got .'):
        over_time(call, tiny, tiny.latent, timesteps=text)
