"""The check of derivatives: it finds what makes them wrong, and what a model needs to be differentiated."""

import re

import comfy.model_management
import numpy as np
import pytest
import torch
from patched_models import halved, is_exact, overwriting, with_late_patch, with_patch, wrong
from tiny_models import tiny_model

# Wrong derivatives.


def test_a_sound_model_passes(check):
    checked = check(with_patch(torch.tanh))
    assert is_exact(checked)


def without_grad(h):
    with torch.no_grad():
        return 1.0 * h


def in_inference_mode(h):
    with torch.inference_mode():
        return h + torch.tanh(h)


@pytest.mark.parametrize("patch", [halved, without_grad, in_inference_mode])
def test_a_patch_that_loses_a_derivative_silently_is_refused(check, patch):
    with wrong():
        check(with_patch(patch))


@pytest.mark.parametrize("patch", [halved, without_grad, in_inference_mode])
def test_a_patch_after_the_bottleneck_counts_for_the_picture_alone(check, patch):
    """One MODEL: what is found out about one feature says nothing about the other."""
    model = with_late_patch(patch)
    for _ in range(2):
        assert is_exact(check(model))
        with wrong():
            check(model, feature="picture")


def test_a_late_patch_with_a_derivative_passes_for_the_picture(check):
    assert is_exact(check(with_late_patch(torch.tanh), feature="picture"))


def test_a_late_patch_that_overwrites_is_differentiated_with_care_for_the_picture_alone(check):
    model = with_late_patch(overwriting)
    assert is_exact(check(model))
    checked = check(model, feature="picture")
    assert checked.copy_slices and checked.errors.adjoint < 1e-6 and checked.errors.difference < 1e-3


def test_what_the_host_does_after_the_network_counts_for_the_picture_alone(check):
    model = tiny_model().clone()
    model.set_model_sampler_post_cfg_function(lambda args: halved(args["denoised"]))
    assert is_exact(check(model))
    with wrong():
        check(model, feature="picture")


def test_a_buffer_of_weights_that_is_overwritten_is_refused(check):
    """Streamed weights of several layers share memory, so what autograd keeps of them becomes wrong."""
    model = tiny_model()
    network = model.model.diffusion_model
    layers = [
        block.transformer_blocks[0].ff.net[2]
        for block in (network.input_blocks[3][1], network.middle_block[1])
    ]
    shared = torch.empty_like(layers[0].weight.detach().clone())
    memory = shared.numpy()  # through which torch does not see it change

    def streamed(layer):
        weight, bias = layer.weight.detach().numpy().copy(), layer.bias

        def forward(values):
            np.copyto(memory, weight)
            return torch.nn.functional.linear(values, shared, bias)

        return forward

    for layer in layers:
        layer.forward = streamed(layer)
    with wrong() as caught:
        check(model)
    errors = [float(number) for number in re.findall(r"error ([\d.e+-]+)", str(caught.value))]
    assert errors[0] < 1e-6 and errors[1] > 0.3  # both products are of the same wrong weights


def overridden(override):
    model = tiny_model()
    model.model_options["transformer_options"]["optimized_attention_override"] = override
    return model


def test_another_nodes_attention_without_derivative_is_refused(check):
    with wrong():
        check(overridden(lambda function, *args, **kwargs: function(*args, **kwargs).detach()))


def test_another_nodes_attention_counts(check):
    """It stays in place; where derivatives are taken, its kernels are replaced as everywhere."""
    plain, halves = tiny_model(), overridden(lambda function, *args, **kwargs: function(*args, **kwargs) / 2)
    h, changed = (
        check(model, then=lambda checked, noisy: checked.encode(noisy.x, noisy.sigma))
        for model in (plain, halves)
    )
    assert (h - changed).norm() > 0.01 * h.norm()


def test_a_wrapper_that_detaches_its_input_is_refused(check):
    model = tiny_model()
    model.set_model_unet_function_wrapper(
        lambda apply, given: apply(given["input"].detach(), given["timestep"], **given["c"])
    )
    with wrong():
        check(model)


def test_half_precision_is_checked_in_float32(check):
    """Differences in half precision would be off by most of their length."""
    for dtype, off in ((torch.float16, 0.02), (torch.bfloat16, 0.1)):
        errors = check(tiny_model(dtype=dtype)).errors
        assert errors.difference < 1e-3 and 0 < errors.precision < off and errors.adjoint < 5e-3


def test_a_model_that_is_another_within_a_derivative_is_refused(check):
    with wrong("gives another value every time, or within a derivative"):
        check(with_patch(lambda h: 1.5 * h if h.requires_grad else h))


def test_a_model_that_works_at_random_is_refused(check):
    with wrong("gives another value every time"):
        check(with_patch(lambda h: h + torch.randn(h.shape)))


def test_an_error_of_another_node_is_not_said_to_be_of_derivatives(check):
    def broken(h):
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes do not match"):
        check(with_patch(broken))


def test_an_error_without_a_text_is_refused_in_a_sentence(check):
    def failing(h):
        if h.requires_grad:
            raise RuntimeError
        return h

    with pytest.raises(ValueError, match=r"cannot be differentiated here \(RuntimeError\)"):
        check(with_patch(failing))


# Workarounds.


def test_parts_are_copied_for_a_patch_that_overwrites_them(check):
    checked = check(with_patch(overwriting))
    errors = checked.errors
    assert checked.copy_slices and errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5


class Unbatched(torch.autograd.Function):
    """h + tanh(h), whose derivative takes one vector at a time, and raises an error for several."""

    @staticmethod
    def forward(ctx, h, error):
        ctx.save_for_backward(h)
        ctx.error = error
        return h + torch.tanh(h)

    @staticmethod
    def backward(ctx, gradient):
        if torch._C._functorch.is_batchedtensor(gradient):
            raise ctx.error
        return gradient * (2 - torch.tanh(ctx.saved_tensors[0]) ** 2), None


def limits(checked, noisy):
    return checked.product_limits(noisy.x.shape[1:])


def test_vectors_go_one_by_one_where_an_operation_knows_no_vmap(check):
    def unbatched(h):
        return Unbatched.apply(h, RuntimeError("no batching rule"))

    checked = check(with_patch(unbatched))
    assert checked.products_one_by_one and checked.errors.adjoint < 1e-6
    assert check(with_patch(unbatched), then=limits).batch_size == 1


def test_a_batch_that_does_not_fit_is_halved(comfy_host, check):
    def large(h):
        return Unbatched.apply(h, torch.OutOfMemoryError("too many vectors"))

    def basis(checked, noisy):
        return comfy_host.core.local_basis(checked, noisy, 2), checked.products_one_by_one

    found, one_by_one = check(with_patch(large), then=basis)
    expected, _ = check(with_patch(lambda h: h + torch.tanh(h)), then=basis)
    assert not one_by_one
    torch.testing.assert_close(found.s, expected.s, rtol=1e-4, atol=1e-6)


def test_a_single_vector_that_does_not_fit_is_the_hosts_own_error(check):
    def full(h):
        if h.requires_grad:
            raise torch.OutOfMemoryError("no memory left")
        return h

    with pytest.raises(torch.OutOfMemoryError, match="no memory left"):
        check(with_patch(full))


def failing_once(fails):
    """A patch, one call of which fails: call number `fails`, from 1, of those that are differentiated."""
    calls = []

    def patch(h):
        if h.requires_grad:
            calls.append(1)
            if len(calls) == fails:
                raise RuntimeError("a device was busy")
        return h + torch.tanh(h)

    return patch


def test_an_error_that_does_not_come_again_changes_nothing(comfy_host, check):
    def basis(checked, noisy):
        found = comfy_host.core.local_basis(checked, noisy, 2)
        return found, checked.copy_slices, limits(checked, noisy).batch_size

    model = with_patch(failing_once(fails=1))
    plain = check(with_patch(failing_once(fails=0)), then=basis)
    for _ in range(2):  # the one that failed on the way, and what is remembered of it
        found = check(model, then=basis)
        assert found[1:] == plain[1:] == (False, None)
        assert torch.equal(found[0].s, plain[0].s) and torch.equal(found[0].v, plain[0].v)


def test_an_error_that_comes_again_takes_care_at_once_for_one_model_alone(check):
    model = with_patch(overwriting)
    assert check(model).copy_slices and check(model).copy_slices
    assert not check(with_patch(torch.tanh)).copy_slices


def test_care_at_one_noise_level_is_not_care_at_another(check, comfy_host):
    """Only what was measured at a level counts there, in whatever order levels come."""
    model = tiny_model()

    def overwriting_at_high_levels(h, options):
        return overwriting(h) if options["block"] == ("input", 2) and options["sigmas"].item() > 2 else h

    model.set_model_input_block_patch(overwriting_at_high_levels)

    def at_a_lower_level(checked, noisy):
        lower = comfy_host.core.NoisyLatent(noisy.x, torch.tensor([1.0, 0.0]))
        other = comfy_host.adapter.check_derivatives(checked.denoiser, lower)
        return checked.copy_slices, other.copy_slices

    assert check(model, then=at_a_lower_level) == (True, False)


@pytest.mark.parametrize("estimates, offload", [(1.1, False), (0.9, True)])
def test_activations_are_offloaded_where_the_host_has_little_memory_free(
    comfy_host, check, monkeypatch, estimates, offload
):
    def limits_there(checked, noisy):
        product = comfy_host.adapter.memory.product_memory
        free = estimates * product(checked.denoiser._guider.model_patcher, "middle", noisy.x.shape[1:])
        monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: free)
        return limits(checked, noisy)

    model = tiny_model()
    batch_size, offloaded, resident = check(model, then=limits_there)
    assert (batch_size, offloaded) == (None, offload)
    assert {id(weight) for weight in resident} == {
        id(weight) for weight in model.model.diffusion_model.parameters()
    }
