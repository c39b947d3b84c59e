"""`HostDenoiser` against ComfyUI itself: tiny UNets, evaluated once through it and once without it."""

import comfy.patcher_extension
import comfy.samplers
import pytest
import torch
from node_calls import sample_custom
from remembering import WRAPPERS, case_for, inverted
from tiny_models import (
    KINDS,
    applied,
    conditioning_for,
    draw,
    latent_for,
    observed,
    patched,
    relative,
    tiny_conditioning,
    tiny_latent,
    tiny_model,
)

SIGMA = 4.0
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def models():
    return {kind: tiny_model(kind) for kind in KINDS}


def noisy_x(batch=1):
    """x in sampler coordinates at SIGMA."""
    return SIGMA * tiny_latent(batch, seed=3)["samples"] / 5


# Predictions.


@every_kind
@pytest.mark.parametrize("sigma", [0.05, SIGMA, 14.0])
def test_denoise_is_the_hosts_own_prediction(within, models, kind, sigma):
    x, conditioning = sigma * draw(2, 4, 8, 8, seed=3), tiny_conditioning()
    ours = within(models[kind], conditioning, tiny_latent(2), lambda denoiser, _: denoiser.denoise(x, sigma))
    torch.testing.assert_close(ours, applied(models[kind], conditioning, x, sigma), rtol=1e-6, atol=1e-6)


def test_the_kinds_predict_differently_at_one_x():
    """Otherwise the tests over kinds would all test one family."""
    x = noisy_x()
    predictions = [applied(tiny_model(kind), tiny_conditioning(), x, SIGMA) for kind in KINDS]
    assert all(relative(a, b) > 0.01 for a, b in zip(predictions, predictions[1:] + predictions[:1]))


@every_kind
def test_stock_euler_takes_the_way_back_that_the_core_takes(comfy_host, call, within, models, kind):
    """The inversion's LATENT and SIGMAS go straight into SamplerCustom."""
    model, conditioning = models[kind], tiny_conditioning()
    latent, sigmas, _ = call(
        "PullbackDDIMInvert",
        model=model,
        conditioning=conditioning,
        latent=tiny_latent(),
        steps=6,
        timestep=0.7,
        refine=1,
        measure=False,
    )
    sampled = sample_custom(call, model, conditioning, latent, sigmas)[0]["samples"]
    ours = within(model, conditioning, latent, comfy_host.core.ddim.generate, sigmas=sigmas)
    assert relative(comfy_host.adapter.clean_latent(model, ours)["samples"], sampled) < 1e-5
    assert relative(latent["samples"], sampled) > 0.1  # the way was not of length zero


# Features.


def test_encode_by_the_hosts_kernels_agrees_with_encode_by_ours(within, models):
    def both(denoiser, x):
        return denoiser.encode(x, SIGMA), denoiser.encode_as_hosted(x, SIGMA)

    ours, hosted = within(models["sd1"], tiny_conditioning(), tiny_latent(), both)
    torch.testing.assert_close(ours, hosted, rtol=1e-4, atol=1e-5)


def test_encode_leaves_the_denoiser_as_it_was(within, models):
    def around(denoiser, x):
        before = denoiser.denoise(x, SIGMA)
        denoiser.encode(x, SIGMA)
        return before, denoiser.denoise(x, SIGMA)

    assert torch.equal(*within(models["sd1"], tiny_conditioning(), tiny_latent(), around))


def test_encode_never_runs_the_decoder(within, models):
    network, ran = models["sd1"].model.diffusion_model, []
    handle = network.output_blocks[0][0].register_forward_hook(lambda *_: ran.append("decoder"))
    try:
        within(
            models["sd1"], tiny_conditioning(), tiny_latent(), lambda denoiser, x: denoiser.encode(x, SIGMA)
        )
        assert not ran
        within(
            models["sd1"], tiny_conditioning(), tiny_latent(), lambda denoiser, x: denoiser.denoise(x, SIGMA)
        )
        assert ran == ["decoder"]
    finally:
        handle.remove()


def test_two_conditionings_give_the_features_of_both(within, models):
    one, other, x = tiny_conditioning(seed=1), tiny_conditioning(seed=5), noisy_x()
    both = within(models["sd1"], one + other, tiny_latent(), lambda denoiser, _: denoiser.encode(x, SIGMA))
    parts = [
        observed(models["sd1"], "middle", conditioning, x, SIGMA).flatten(1) for conditioning in (one, other)
    ]
    torch.testing.assert_close(both, torch.cat(parts, dim=1), rtol=1e-4, atol=1e-4)


def test_an_area_gives_the_features_of_the_area_beside_those_of_the_whole(within, models):
    area = tiny_conditioning(seed=5, area=(4, 8, 4, 0), strength=1.0)
    x = noisy_x()
    both = within(
        models["sd1"],
        tiny_conditioning() + area,
        tiny_latent(),
        lambda denoiser, _: denoiser.encode(x, SIGMA),
    )
    whole = observed(models["sd1"], "middle", tiny_conditioning(), x, SIGMA).flatten(1)
    lower = observed(models["sd1"], "middle", tiny_conditioning(seed=5), x[:, :, 4:], SIGMA).flatten(1)
    torch.testing.assert_close(both, torch.cat([whole, lower], dim=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"area": (4, 8, 4, 0), "strength": 0.7}])
def test_several_conditionings_give_one_picture_as_the_host_combines_them(within, models, options):
    x = noisy_x()

    def all_of(denoiser, _):
        return denoiser.encode(x, SIGMA), denoiser.encode_as_hosted(x, SIGMA), denoiser.denoise(x, SIGMA)

    conditioning = tiny_conditioning() + tiny_conditioning(seed=5, **options)
    ours, hosted, predicted = within(models["sd1"], conditioning, tiny_latent(), all_of, feature="picture")
    alone = within(models["sd1"], tiny_conditioning(), tiny_latent(), all_of, feature="picture")[0]
    assert ours.shape == x.shape and relative(ours, alone) > 1e-3
    torch.testing.assert_close(ours, predicted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(hosted, predicted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("feature", ["middle", "picture"])
def test_a_conditioning_of_another_time_is_refused(within, models, feature):
    with pytest.raises(ValueError, match="No conditioning is active at this noise level"):
        within(
            models["sd1"],
            tiny_conditioning(start_percent=0.9, end_percent=1.0),
            tiny_latent(),
            lambda denoiser, x: denoiser.encode(x, SIGMA),
            feature=feature,
        )


def test_a_patch_changes_what_is_encoded(within, models):
    x = noisy_x()
    plain, changed = (
        within(model, tiny_conditioning(), tiny_latent(), lambda denoiser, _: denoiser.encode(x, SIGMA))
        for model in (models["sd1"], patched(models["sd1"]))
    )
    assert relative(changed, plain) > 0.01


def test_a_wrapper_acts_on_what_is_encoded(within, models):
    model, x = models["sd1"].clone(), noisy_x()

    def doubled(executor, points, *others, **named):
        return executor(2 * points, *others, **named)

    model.add_wrapper(comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL, doubled)
    wrapped = within(model, tiny_conditioning(), tiny_latent(), lambda denoiser, _: denoiser.encode(x, SIGMA))
    plain = within(
        models["sd1"], tiny_conditioning(), tiny_latent(), lambda denoiser, _: denoiser.encode(2 * x, SIGMA)
    )
    torch.testing.assert_close(wrapped, plain, rtol=1e-4, atol=1e-5)


# Derivatives.


@every_kind
@pytest.mark.parametrize("feature", ["middle", "input_2", "output_1"])
def test_products_agree_with_differences_of_the_hosts_forward_in_double_precision(
    comfy_host, within, models, kind, feature
):
    x, v, h = noisy_x(), draw(1, 4, 8, 8, seed=8), 1e-5

    def column(denoiser, _):
        return comfy_host.core.Jacobian(lambda points: denoiser.encode(points, SIGMA), x[0]).jvp(v)

    ours = within(models[kind], tiny_conditioning(), tiny_latent(), column, feature=feature)
    double = tiny_model(kind, dtype=torch.float64)
    ahead, behind = (
        observed(double, feature, tiny_conditioning(), x.double() + step * v.double(), SIGMA)
        for step in (h, -h)
    )
    assert ahead.dtype == torch.float64
    assert relative(ours, (ahead - behind) / (2 * h)) < 2e-5


def test_weights_in_another_memory_layout_give_the_same_products(comfy_host, within):
    """As under --force-channels-last."""
    x, v = noisy_x(), draw(1, 4, 8, 8, seed=8)

    def products(denoiser, _):
        jacobian = comfy_host.core.Jacobian(lambda points: denoiser.encode(points, SIGMA), x[0])
        image = jacobian.jvp(v)
        return image, jacobian.vjp(image)

    plain, turned = tiny_model(), tiny_model()
    with torch.inference_mode():
        turned.model.diffusion_model.to(memory_format=torch.channels_last)
    ours, theirs = (within(model, tiny_conditioning(), tiny_latent(), products) for model in (turned, plain))
    for one, other in zip(ours, theirs):
        assert relative(one, other) < 1e-4
    assert not any(module._forward_pre_hooks for module in turned.model.diffusion_model.modules())


@every_kind
def test_the_two_products_are_adjoint(comfy_host, within, models, kind):
    def error(denoiser, x):
        return comfy_host.core.adjoint_error(
            comfy_host.core.Jacobian(lambda points: denoiser.encode(points, SIGMA), x[0])
        )

    assert within(models[kind], tiny_conditioning(), tiny_latent(), error) < 1e-5


def test_products_of_two_conditionings_stack(comfy_host, within, models):
    x, v = noisy_x(), draw(1, 4, 8, 8, seed=8)

    def column(denoiser, _):
        return comfy_host.core.Jacobian(lambda points: denoiser.encode(points, SIGMA), x[0]).jvp(v).flatten(1)

    one, other = tiny_conditioning(seed=1), tiny_conditioning(seed=5)
    both, *parts = (
        within(models["sd1"], conditioning, tiny_latent(), column)
        for conditioning in (one + other, one, other)
    )
    torch.testing.assert_close(both, torch.cat(parts, dim=1), rtol=1e-4, atol=1e-5)


def test_float32_of_a_half_precision_model_is_the_float32_model_of_the_same_weights(comfy_host, within):
    half, rounded = tiny_model(dtype=torch.float16), tiny_model()
    with torch.inference_mode():
        for weight in rounded.model.diffusion_model.parameters():
            weight.copy_(weight.half())
    x, v = noisy_x(), draw(1, 4, 8, 8, seed=8)

    def column(denoiser, _):
        return comfy_host.core.Jacobian(lambda points: denoiser.encode(points, SIGMA), x[0]).jvp(v)

    exact = within(rounded, tiny_conditioning(), tiny_latent(), column)
    assert relative(within(half, tiny_conditioning(), tiny_latent(), column, float32=True), exact) < 1e-5
    assert 1e-5 < relative(within(half, tiny_conditioning(), tiny_latent(), column), exact) < 0.02
    assert all(weight.dtype == torch.float16 for weight in half.model.diffusion_model.parameters())


# What a basis says of its model.


@pytest.mark.parametrize(
    "dtype, cast, float32, precision",
    [
        (torch.float32, None, False, "float32"),
        (torch.float16, None, False, "float16"),
        (torch.float16, None, True, "float32"),
        (torch.float8_e4m3fn, torch.bfloat16, False, "bfloat16"),
    ],
)
def test_a_basis_says_in_which_precision_it_was_computed(within, dtype, cast, float32, precision):
    model = tiny_model(dtype=dtype, cast=cast)
    provenance = within(
        model, tiny_conditioning(), tiny_latent(), lambda denoiser, _: denoiser.provenance, float32=float32
    )
    assert provenance["precision"] == precision


@pytest.mark.parametrize("kind, feature", [("sd1", "input_0"), ("flux", "double_0")])
def test_with_feature_changes_the_feature_and_nothing_else(within, kind, feature):
    model, conditioning = tiny_model(kind), conditioning_for(kind)
    latent = latent_for(model, seed=3)
    sigma = 0.7

    def both(denoiser, x):
        other = denoiser.with_feature(feature)
        h = denoiser.encode(x, sigma), other.encode(x, sigma)
        return denoiser, other, h, (denoiser.denoise(x, sigma), other.denoise(x, sigma))

    denoiser, other, (middle, early), denoised = within(model, conditioning, latent, both, products=True)
    alone = within(
        model, conditioning, latent, lambda denoiser, x: denoiser.encode(x, sigma), feature=feature
    )
    assert denoiser.provenance["feature"] != feature
    assert other.provenance == {**denoiser.provenance, "feature": feature}
    assert torch.equal(*denoised) and torch.equal(alone, early)
    assert middle.shape != early.shape or not torch.equal(middle, early)


def test_a_feature_that_the_model_lacks_is_refused(within, models):
    with pytest.raises(ValueError, match="no block named 'output_9'"):
        within(
            models["sd1"],
            tiny_conditioning(),
            tiny_latent(),
            lambda denoiser, x: denoiser.with_feature("output_9"),
        )


# Blocks that do not run.


def skipping(case):
    """A patch that leaves out a block of a transformer."""
    case.model.set_model_patch_replace(
        lambda args, extra: {"img": args["img"], "txt": args["txt"]}, "dit", "double_block", 1
    )
    return "double_1"


def ending_early(case):
    """A wrapper that answers without the network."""
    case.model.add_wrapper(WRAPPERS.DIFFUSION_MODEL, lambda executor, x, *args, **kwargs: torch.zeros_like(x))
    return "middle" if case.unet else "double_1"


@pytest.mark.parametrize("kind, patch", [("flux", skipping), ("flux", ending_early), ("sd1", ending_early)])
def test_a_block_that_a_patch_leaves_out_is_named(call, kind, patch):
    case = case_for(kind)
    latent, sigmas, _ = inverted(call, case, steps=2, refine=0, measure=False)
    feature = patch(case)
    with pytest.raises(
        ValueError, match=f"The block {feature} did not run.* Bypass that node, or choose another feature"
    ):
        call(
            "PullbackBasis",
            model=case.model,
            conditioning=case.conditioning,
            latent=latent,
            sigmas=sigmas,
            rank=1,
            tolerance=0.5,
            seed=0,
            feature=feature,
            precision="as the model",
        )


@pytest.mark.parametrize("kind", ["flux", "sd1"])
def test_a_prompt_that_is_not_active_is_not_said_to_be_a_block(within, kind):
    case = case_for(kind)
    ending_early(case)
    conditioning = conditioning_for(kind, start_percent=0.9, end_percent=1.0)
    with pytest.raises(ValueError, match="No conditioning is active at this noise level"):
        within(case.model, conditioning, case.latent, lambda denoiser, x: denoiser.encode(x, 0.7))
