"""Noise levels of schedulers."""

from functools import partial

import pytest
import torch
from tiny_pipelines import (
    ddim_scheduler,
    diffusers,
    refused_in_one_sentence,
    sigma_at,
    text_conditioning,
    text_unet,
    unconditional_unet,
)

from pullback_core.models.diffusers import DiffusersDenoiser


def test_zero_snr_and_tiny_betas_are_accepted():
    for options in (
        {"rescale_betas_zero_snr": True},
        {"beta_start": 0.0015, "beta_end": 0.0195, "rescale_betas_zero_snr": True},
        {"beta_start": 1e-9},
    ):
        for kind in ("DDIM", "DDPM", "EulerDiscrete", "DPMSolverMultistep"):
            for shape in ("linear", "scaled_linear", "squaredcos_cap_v2"):
                scheduler = getattr(diffusers, f"{kind}Scheduler")(beta_schedule=shape, **options)
                schedule = DiffusersDenoiser(unconditional_unet(), scheduler).schedule
                indices = schedule.timestep(torch.exp(schedule.log_sigmas)).round()
                assert (
                    torch.equal(indices.long(), torch.arange(1000)) and (schedule.log_sigmas.diff() > 0).all()
                )
                exact = torch.cumprod(1 - scheduler.betas.double(), dim=0)
                expected = (0.5 * torch.log((1 - exact) / exact))[:-1]
                torch.testing.assert_close(schedule.log_sigmas[:-1], expected, rtol=0, atol=5e-3)


def test_noise_levels_are_the_schedulers():
    for scheduler in (
        ddim_scheduler(),
        diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        diffusers.EulerDiscreteScheduler(),
        diffusers.PNDMScheduler(),
        diffusers.DPMSolverMultistepScheduler(),
    ):
        schedule = DiffusersDenoiser(unconditional_unet(), scheduler).schedule
        assert schedule.sigma_max == pytest.approx(sigma_at(scheduler, -1)) and schedule.sigma(
            0.0
        ) == pytest.approx(sigma_at(scheduler, 0))
    zero_snr = DiffusersDenoiser(
        unconditional_unet(), ddim_scheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction")
    )
    assert zero_snr.schedule.sigma_max == pytest.approx(2**12, rel=1e-3)


def continuous_euler():
    return diffusers.EulerDiscreteScheduler(
        timestep_type="continuous", sigma_min=0.1, sigma_max=9.0, prediction_type="v_prediction"
    )


@pytest.mark.parametrize(
    "make_scheduler, message",
    [
        (diffusers.FlowMatchEulerDiscreteScheduler, "alphas_cumprod.*FlowMatchEuler"),
        (diffusers.EDMEulerScheduler, "alphas_cumprod.*EDMEuler"),
        (continuous_euler, "continuous"),
        (partial(diffusers.UniPCMultistepScheduler, prediction_type="flow_prediction"), "'flow_prediction'"),
    ],
)
def test_a_scheduler_of_another_kind_of_model_is_refused(make_scheduler, message):
    scheduler = make_scheduler()
    refused_in_one_sentence(message, lambda: DiffusersDenoiser(text_unet(), scheduler, text_conditioning()))
