"""Quality Boost Sampler: the core's generation, with and without fresh noise."""

import pytest
import torch
from node_calls import sample, samples_of


def test_the_boost_sampler_without_noise_is_the_cores_generation(call, comfy_host, face, alone):
    (sampler,) = call("PullbackQualityBoost", boost_below=0.0, eta=0.0)
    expected = samples_of(comfy_host, face, comfy_host.core.ddim.generate(alone.denoiser, alone.noisy))
    torch.testing.assert_close(sample(call, face, face.latent, sampler), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("options", [{"boost_below": 0.3, "eta": 0.0}, {"boost_below": 0.0, "eta": 1.0}])
def test_the_boost_sampler_adds_the_cores_noise(call, comfy_host, face, alone, options):
    (sampler,) = call("PullbackQualityBoost", **options)
    expected = samples_of(
        comfy_host,
        face,
        comfy_host.core.ddim.generate(alone.denoiser, alone.noisy, seed=0, **options),
    )
    boosted = sample(call, face, face.latent, sampler)
    torch.testing.assert_close(boosted, expected, rtol=1e-3, atol=1e-3)
    assert (boosted - sample(call, face, face.latent)).abs().max() > 0.01
