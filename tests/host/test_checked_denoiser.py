"""What a passed check gives: it is remembered, and what was checked is a `CheckedDenoiser`."""

import comfy.hooks
import pytest
import torch
from patched_models import halved, overwriting, with_patch, wrong
from tiny_models import conditioning_for, latent_for, tiny_model

# Passed checks are remembered.


@pytest.fixture
def counted():
    """(a model, a list with an entry for each of its evaluations)."""
    calls = []
    return with_patch(lambda h: (calls.append(1), h)[1]), calls


def test_what_passed_once_is_not_checked_again(check, counted):
    model, calls = counted
    check(model)
    before = len(calls)
    check(model)
    check(model, latent=latent_for(model, seed=5))
    assert len(calls) == before > 5


@pytest.mark.parametrize(
    "other",
    [
        {"fraction": 0.5},
        {"conditioning": conditioning_for("sd1", seed=4)},
        {"conditioning": conditioning_for("sd1", area=(4, 8, 4, 0))},
        {"feature": "input_3"},
        {"float32": True},
    ],
)
def test_something_else_is_checked_anew(check, counted, other):
    model, calls = counted
    check(model)
    before = len(calls)
    check(model, **other)
    assert len(calls) > before


def test_another_way_to_a_level_is_checked_anew_where_levels_are_remembered(comfy_host, check):
    """Hooks with keyframes give other weights at one level after other levels above."""
    keyframes = comfy.hooks.HookKeyframeGroup()
    for start, strength in ((0.0, 0.0), (0.5, 1.0)):
        keyframes.add(comfy.hooks.HookKeyframe(strength=strength, start_percent=start))
    hooks = comfy.hooks.create_hook_model_as_lora({}, None, 1.0, 1.0)
    hooks.set_keyframes_on_hooks(keyframes)
    hooks.hooks[0].weights, hooks.hooks[0].need_weight_init = {}, False
    hooked = comfy.hooks.set_hooks_for_conditioning(conditioning_for("sd1"), hooks)
    passed = []

    def on_two_ways(checked, noisy):
        for above in ([14.0], [14.0, 8.0], [14.0]):
            denoiser = checked.denoiser.along([*above, noisy.sigma, 0.0])
            comfy_host.adapter.check_derivatives(denoiser, noisy)
            passed.append(len(denoiser.passed_checks))

    check(tiny_model(), hooked, then=on_two_ways)
    check(tiny_model(), then=on_two_ways)
    assert passed == [2, 3, 3, 1, 1, 1]


def test_another_size_is_checked_anew(check, counted):
    model, calls = counted
    check(model)
    before = len(calls)
    check(model, latent=latent_for(model, size=16))
    assert len(calls) > before


def test_a_patched_clone_is_checked_anew(check):
    model = tiny_model()
    check(model)
    with wrong():
        check(with_patch(halved, model))


# `CheckedDenoiser`.


def test_only_a_checked_denoiser_knows_how_many_products_fit(comfy_host, within, with_noise):
    def work(denoiser, x0):
        noisy = with_noise(denoiser, x0)
        with pytest.raises(RuntimeError, match="call check_derivatives"):
            denoiser.product_limits(noisy.x.shape[1:])
        with pytest.raises(RuntimeError, match="call check_derivatives"):
            comfy_host.core.local_basis(denoiser, noisy, 1)
        checked = comfy_host.adapter.check_derivatives(denoiser, noisy)
        assert isinstance(checked, comfy_host.adapter.CheckedDenoiser)
        return checked.product_limits(noisy.x.shape[1:])

    model = tiny_model()
    assert within(model, conditioning_for("sd1"), latent_for(model), work).batch_size is None


def test_a_checked_denoiser_evaluates_as_the_one_that_was_checked(check):
    def work(checked, noisy):
        denoiser, point = checked.denoiser, (noisy.x, noisy.sigma)
        assert torch.equal(checked.denoise(*point), denoiser.denoise(*point))
        assert torch.equal(checked.encode(*point), denoiser.encode(*point))
        assert checked.schedule is denoiser.schedule and checked.provenance == denoiser.provenance
        assert not checked.depends_on_start([noisy.sigmas], noisy.x)

    check(tiny_model(), then=work)


def test_a_checked_denoiser_stays_checked_along_noise_levels(check):
    def work(checked, noisy):
        along = checked.along(noisy.sigmas)
        assert type(along) is type(checked) and along.denoiser is not checked.denoiser
        assert along.errors == checked.errors and along.copy_slices and along.products_one_by_one

    check(with_patch(overwriting), then=work)


def test_a_check_over_time_takes_the_care_that_some_timestep_needs(comfy_host, within):
    model = tiny_model()

    def overwriting_at_low_levels(h, options):
        return overwriting(h) if options["block"] == ("input", 2) and options["sigmas"].item() < 1 else h

    model.set_model_input_block_patch(overwriting_at_low_levels)

    def work(denoiser, x0):
        over_time = comfy_host.adapter.check_derivatives_over_time
        low, high, both = (over_time(denoiser, x0, timesteps) for timesteps in ([0.2], [0.9], [0.2, 0.9]))
        assert low.copy_slices and both.copy_slices and both.products_one_by_one and not high.copy_slices
        assert both.errors.difference == max(low.errors.difference, high.errors.difference)
        return len(denoiser.passed_checks)

    assert within(model, conditioning_for("sd1"), latent_for(model), work) == 2


def test_a_check_over_time_refuses_what_is_wrong_at_one_timestep(comfy_host, within):
    model = tiny_model()

    def halved_at_low_levels(h, options):
        return halved(h) if options["block"] == ("input", 2) and options["sigmas"].item() < 1 else h

    model.set_model_input_block_patch(halved_at_low_levels)

    def work(denoiser, x0):
        comfy_host.adapter.check_derivatives_over_time(denoiser, x0, [0.9])
        with wrong():
            comfy_host.adapter.check_derivatives_over_time(denoiser, x0, [0.2, 0.9])

    within(model, conditioning_for("sd1"), latent_for(model), work)
