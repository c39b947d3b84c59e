"""Keyframes of hooks: every evaluation of the pack meets the strength of its noise level."""

import comfy.hooks
import comfy.samplers
import pytest
import torch
from remembering import (
    EXACT,
    KEYFRAMES,
    LATE,
    case_for,
    check_each_evaluation,
    error_of_the_way_back,
    hooked,
    inverted,
    lora_hooks,
    measured,
    without_memory,
)
from tiny_models import conditioning_for, draw, relative


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "flux"])
def test_the_way_back_of_a_scheduled_lora_is_exact(call, kind):
    case = case_for(kind)
    hooked(case, lora_hooks(case, LATE))
    latent, sigmas, report = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) < EXACT
    assert measured(report) < EXACT


@pytest.mark.parametrize("kind", ["sd2v", "flux"])
@pytest.mark.parametrize("name", KEYFRAMES)
def test_each_evaluation_meets_the_keyframe_of_its_level(call, within, kind, name):
    case = case_for(kind)
    hooked(case, lora_hooks(case, KEYFRAMES[name]))
    check_each_evaluation(call, within, case)


def test_the_strength_of_the_keyframe_matters_here(call, comfy_host, monkeypatch):
    """If this fails, the other tests of keyframes test nothing."""
    case = case_for("sd2v")
    hooked(case, lora_hooks(case, LATE))
    without_memory(monkeypatch, comfy_host)
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) > 100 * EXACT


def test_rewinding_the_keyframes_alone_does_not_help_the_weights(call, comfy_host, monkeypatch):
    """If this fails, no test notices weights that stay patched with another strength."""
    case = case_for("sd2v")
    hooked(case, lora_hooks(case, LATE))
    keyframes = comfy_host.adapter.level_memory.keyframes.Keyframes
    monkeypatch.setattr(keyframes, "strengths", lambda self: None)
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) > 100 * EXACT


@pytest.mark.parametrize("kind", ["sd2v", "flux"])
def test_prompts_with_hooks_of_their_own_meet_their_own_keyframes(call, within, kind):
    """Two areas, one with two hooks, and a prompt for a part of the time. The host caches patched weights."""
    case = case_for(kind)
    one, other = lora_hooks(case, LATE), lora_hooks(case, KEYFRAMES["three"], seed=4)
    both = one.clone_and_combine(lora_hooks(case, KEYFRAMES["guaranteed for steps"], seed=5))
    mask = torch.zeros(1, 64, 64)
    mask[..., :32] = 1
    set_hooks = comfy.hooks.set_hooks_for_conditioning
    case.conditioning = [
        *set_hooks(conditioning_for(kind, mask=mask, mask_strength=1.0), both),
        *set_hooks(conditioning_for(kind, seed=5, mask=1 - mask, mask_strength=1.0), other),
        *set_hooks(
            conditioning_for(kind, seed=6, start_percent=0.7, end_percent=0.9),
            lora_hooks(case, KEYFRAMES["three"], seed=7),
        ),
    ]
    check_each_evaluation(call, within, case)
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) < EXACT


def test_prompts_for_a_part_of_the_time_are_exact(call):
    """Hooks of the text encoder make such prompts."""
    case = case_for("sd2v")
    case.conditioning = [
        *conditioning_for("sd2v", start_percent=0.0, end_percent=0.6),
        *conditioning_for("sd2v", seed=5, start_percent=0.6, end_percent=1.0),
    ]
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) < EXACT


def test_a_basis_is_that_of_the_keyframe_of_its_level(call, within):
    case, plain, always = (case_for("sd2v") for _ in range(3))
    hooked(case, lora_hooks(case, LATE))
    hooked(always, lora_hooks(always, []))
    z = draw(1, 4, 8, 8, seed=3)
    for percent, model in ((0.3, plain), (0.9, always)):
        sigma = float(case.model.get_model_object("model_sampling").percent_to_sigma(percent))

        def features(denoiser, x, sigma=sigma):
            denoiser.encode(z, 0.01)  # another level before
            return denoiser.encode(z, sigma), denoiser.encode_as_hosted(z, sigma)

        ours, hosted = within(case.model, case.conditioning, case.latent, features)
        theirs = within(model.model, model.conditioning, case.latent, features)[0]
        assert relative(ours, theirs) < 1e-5
        assert relative(hosted, theirs) < 1e-4


def test_basis_over_time_leads_back_from_each_timestep(call):
    """With guaranteed steps, keyframes meet a level in another state if a sampler starts lower."""
    case = case_for("sd2v")
    hooked(case, lora_hooks(case, KEYFRAMES["guaranteed for steps"]))
    _, latents, ways = call(
        "PullbackBasisOverTime",
        model=case.model,
        conditioning=case.conditioning,
        latent=case.latent,
        timesteps="0.3, 0.5",
        steps=16,
        refine=12,
        rank=1,
        tolerance=0.5,
        seed=0,
        feature="middle",
        precision="as the model",
    )
    for latent, sigmas in zip(latents, ways):
        assert error_of_the_way_back(call, case, latent, sigmas) < EXACT


@pytest.mark.parametrize(
    "options", [{}, {"start_percent": 0.2}, {"end_percent": 0.5}, {"start_percent": 0.3, "end_percent": 0.4}]
)
def test_a_prompt_is_active_where_the_host_says_so(comfy_host, options):
    case = case_for("sd1")
    extra = conditioning_for("sd1", **options)[0][1]
    entries = [{**extra, "model_conds": {}, "uuid": None}]
    comfy.samplers.calculate_start_end_timesteps(case.model.model, entries)
    entry = entries[0]
    sampling = case.model.get_model_object("model_sampling")
    for percent in (0.0, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.7, 1.0):
        level = torch.tensor([float(sampling.percent_to_sigma(percent))])
        hosts = comfy.samplers.get_area_and_mult(entry, torch.zeros(1, 4, 8, 8), level) is not None
        assert comfy_host.adapter.level_memory.is_active(entry, level[0]) == hosts
