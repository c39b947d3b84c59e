"""The noise levels of models are ComfyUI's own."""

import comfy.model_sampling
import pytest
import torch
from tiny_families import FLOWS
from tiny_models import KINDS, tiny_model

every_family = pytest.mark.parametrize("family", FLOWS)


@pytest.mark.parametrize("kind", KINDS)
def test_the_schedule_of_a_unet_is_the_hosts(comfy_host, kind):
    model = tiny_model(kind)
    sampling, schedule = model.get_model_object("model_sampling"), comfy_host.adapter.schedule_of(model)
    assert schedule.sigma_max == pytest.approx(float(sampling.sigma_max), rel=1e-6)
    for sigma in (0.1, 1.0, 10.0):
        assert schedule.timestep(sigma).item() == pytest.approx(
            float(sampling.timestep(torch.tensor(sigma))), abs=0.51
        )


@every_family
def test_the_schedule_of_a_flow_is_the_hosts(comfy_host, family):
    model = tiny_model(family)
    sampling, schedule = model.get_model_object("model_sampling"), comfy_host.adapter.schedule_of(model)
    for fraction in (0.05, 0.3, 0.7, 0.95):
        assert schedule.sigma(fraction) == pytest.approx(sampling.percent_to_sigma(1 - fraction), rel=1e-5)
    assert schedule.sigma_max == 1


@pytest.mark.parametrize("family", ["flux", "qwen"])
def test_nothing_of_the_picture_is_left_at_the_very_end_of_a_flow(comfy_host, family):
    with pytest.raises(
        ValueError, match=r"At timestep 1 nothing of the picture is left .* choose at most 0\.99"
    ):
        comfy_host.adapter.ddim_sigmas(tiny_model(family), 4, 1.0)


def test_the_sigmas_of_ddim_fall_from_a_fraction_of_the_way_to_zero(comfy_host):
    model = tiny_model("sd1")
    sigmas = comfy_host.adapter.ddim_sigmas(model, 4, 1.0)
    assert sigmas.shape == (5,) and (sigmas.diff() < 0).all() and sigmas[-1] == 0
    assert sigmas[0] == pytest.approx(comfy_host.adapter.schedule_of(model).sigma_max)


@pytest.mark.parametrize(
    "settings",
    [
        {"linear_start": 0.00085, "linear_end": 0.012},
        {"linear_start": 0.0015, "linear_end": 0.0195},
        {"beta_schedule": "cosine"},
        {"beta_schedule": "sqrt_linear", "linear_start": 1e-4, "linear_end": 0.02},
    ],
    ids=str,
)
def test_zero_snr_models_have_levels(comfy_host, settings):
    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
        pass

    class Config:
        sampling_settings = {"zsnr": True, **settings}

    sampling = Sampling(Config())
    schedule = comfy_host.adapter.schedules.schedule_in(sampling)
    assert (schedule.log_sigmas.diff() > 0).all()
    torch.testing.assert_close(
        torch.exp(schedule.log_sigmas)[:-1], sampling.sigmas[:-1].double(), rtol=1e-4, atol=0
    )
    for index in (0, 1, 500, 997, 998):
        assert sampling.timestep(torch.tensor(schedule.sigma(index / 999))) == index
    assert schedule.require_level(sampling.sigma_max) == sampling.sigma_max


def test_an_unknown_kind_of_prediction_is_refused(comfy_host):
    class Sampling(comfy.model_sampling.ModelSamplingContinuousEDM, comfy.model_sampling.EDM):
        pass

    with pytest.raises(ValueError, match="This model samples as ModelSamplingContinuousEDM/EDM; only eps-"):
        comfy_host.adapter.schedules.schedule_in(Sampling())
