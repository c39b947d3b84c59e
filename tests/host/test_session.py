"""What `while_sampling` refuses, gives and leaves behind."""

import pytest
import torch
from tiny_families import draw
from tiny_models import conditioning_for, latent_for, tiny_conditioning, tiny_latent, tiny_model


def test_a_film_of_several_frames_is_refused(within):
    latent = {"samples": draw(1, 16, 3, 8, 8, seed=0)}
    with pytest.raises(ValueError, match=r"this model needs \(batch, 16, height, width\)"):
        within(tiny_model("qwen"), conditioning_for("qwen"), latent, lambda denoiser, x: x)


def test_a_latent_of_another_model_is_refused_with_its_shape(within):
    with pytest.raises(ValueError, match=r"shape \(1, 16, 8, 8\), and this model needs \(batch, 4, height"):
        within(tiny_model(), tiny_conditioning(), {"samples": draw(1, 16, 8, 8, seed=0)}, print)


def test_context_windows_are_refused(within):
    model = tiny_model().clone()
    model.model_options["context_handler"] = object()
    with pytest.raises(ValueError, match="bypass nodes for context windows"):
        within(model, tiny_conditioning(), tiny_latent(), print)


def test_the_result_of_the_function_comes_back_and_so_does_its_error(within):
    class Own(Exception):
        pass

    def fail(denoiser, x):
        raise Own

    result = object()
    assert within(tiny_model(), tiny_conditioning(), tiny_latent(), lambda denoiser, x: result) is result
    with pytest.raises(Own):
        within(tiny_model(), tiny_conditioning(), tiny_latent(), fail)


@pytest.mark.parametrize("kind", ["sd1", "flux"])
def test_a_noisy_latent_comes_with_its_way_back(comfy_host, within, kind):
    model = tiny_model(kind)
    sigmas = comfy_host.adapter.ddim_sigmas(model, 3, 0.6)
    noisy = within(
        model, conditioning_for(kind), latent_for(model), lambda denoiser, noisy: noisy, sigmas=sigmas
    )
    assert isinstance(noisy, comfy_host.core.NoisyLatent)
    assert noisy.sigma == float(sigmas[0]) and torch.equal(noisy.sigmas, sigmas)


def test_checks_are_remembered_for_one_model_conditioning_and_precision(within):
    def checks(model, conditioning, **options):
        return within(
            model, conditioning, tiny_latent(), lambda denoiser, _: denoiser.passed_checks, **options
        )

    model = tiny_model()
    known = checks(model, tiny_conditioning(1))
    assert checks(model, tiny_conditioning(1)) is known
    assert checks(model, tiny_conditioning(2)) is not known
    assert checks(model, tiny_conditioning(1), float32=True) is not known
    assert checks(model.clone(), tiny_conditioning(1)) is not known


def test_a_control_is_told_from_one_that_is_gone(comfy_host):
    """Python may give the id of an object to another one."""

    class Control:
        pass

    first, second = Control(), Control()
    of = comfy_host.adapter.session._reference
    gone = of(first)
    assert gone == of(first) != of(second) and of(None) is None
    del first
    assert all(gone != of(Control()) for _ in range(100))
