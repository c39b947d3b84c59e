"""The Quality Boost Sampler is the core's DDIM, run by ComfyUI's own sampling."""

import pytest
import torch
from tiny_families import draw
from tiny_models import conditioning_for, latent_for, relative, tiny_model


@pytest.mark.parametrize("family", ["flux", "sd3"])
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_quality_boosting_is_the_cores(comfy_host, call, within, family, eta):
    model = tiny_model(family)
    conditioning, latent = conditioning_for(family), latent_for(model)
    (sampler,) = call("PullbackQualityBoost", boost_below=0.3, eta=eta)
    sigmas = comfy_host.adapter.ddim_sigmas(model, 5, 0.8)
    sampled = call(
        "SamplerCustom",
        model=model,
        add_noise=False,
        noise_seed=7,
        cfg=1.0,
        positive=conditioning,
        negative=conditioning,
        sampler=sampler,
        sigmas=sigmas,
        latent_image=latent,
    )[0]["samples"]
    ours = within(
        model,
        conditioning,
        latent,
        sigmas=sigmas,
        fn=lambda denoiser, noisy: comfy_host.core.ddim.generate(
            denoiser, noisy, eta=eta, boost_below=0.3, seed=7
        ),
    )
    assert (
        relative(comfy_host.adapter.clean_latent(model, ours)["samples"], sampled) < 1e-4
        and torch.isfinite(sampled).all()
    )


def test_films_and_sounds_are_sampled_as_pictures_are(comfy_host, call):
    """The sampler computes number by number, so the arrangement of a latent does not matter to it."""
    boost = comfy_host.adapter.quality_boost

    class Sampling:
        noise = torch.ones(1)
        inner_model = property(lambda self: self)
        model_sampling = tiny_model("flux").get_model_object("model_sampling")

        def __call__(self, x, sigmas, **extra_args):
            seen.append(x.shape)
            return 0.5 * x

    def sample(*shape):
        def report(step):
            seen.append(step["denoised"].shape)

        x, sigmas = draw(1, 4, 24, 8, seed=1).reshape(shape), torch.tensor([0.8, 0.4, 0.0])
        done = boost._sample(Sampling(), x, sigmas, {"seed": 3}, report, boost_below=0.0, eta=0.5)
        assert set(seen) == {shape} and done.shape == shape
        seen.clear()
        return done.flatten()

    seen = []
    picture = sample(1, 4, 24, 8)
    torch.testing.assert_close(sample(1, 4, 3, 8, 8), picture)
    torch.testing.assert_close(sample(1, 4, 192), picture)


def test_the_sampler_has_no_features(comfy_host):
    boost = comfy_host.adapter.quality_boost

    class Given:
        inner_model = property(lambda self: self)
        model_sampling = tiny_model("flux").get_model_object("model_sampling")

    with pytest.raises(NotImplementedError):
        x = torch.ones(1, 4, 8, 8)
        boost._SampledModel(Given(), x, {}).encode(x, 0.5)
