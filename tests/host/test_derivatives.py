"""The check of derivatives: what is planted into a model to make them wrong is found, and nothing of the check stays behind."""

import re
import sys
from types import SimpleNamespace

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import numpy as np
import pytest
import torch
from tiny_models import conditioning_for, latent_for, noisy, tiny_model


@pytest.fixture(scope="module")
def check(comfy_host, within):
    """check(model, ...) -> (errors, whether it took care): the check at a noisy latent, in inference mode as in the server."""

    def run(model, conditioning=None, latent=None, fraction=0.7, then=None, **options):
        def work(denoiser, x):
            z, sigma = noisy(denoiser, x, fraction)
            errors = comfy_host.adapter.check_derivatives(denoiser, z, sigma)
            return then(denoiser, z, sigma) if then else (errors, denoiser.careful)

        return within(model, conditioning or conditioning_for("sd1"), latent or latent_for(model), work, **options)

    return run


def with_patch(patch, model=None):
    """A model, one of whose blocks hands its output through a function."""
    clone = (model or tiny_model()).clone()
    clone.set_model_input_block_patch(lambda h, options: patch(h) if options["block"] == ("input", 2) else h)
    return clone


def wrong(sentence="derivatives of this model are wrong here"):
    return pytest.raises(ValueError, match=sentence)


# What is planted.


def test_a_sound_model_passes(check):
    errors, careful = check(with_patch(torch.tanh))
    assert errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5 and not careful


def halved(h):
    return h / 2 + h.detach() / 2


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


@pytest.fixture(scope="module")
def kernel():
    """An operator as packs of kernels define them: with no derivative, or with one for training."""
    library = torch.library.Library("planted", "FRAGMENT")

    def define(name):
        operator = torch.library.custom_op(f"planted::{name}", lambda x: torch.tanh(x), mutates_args=(), schema="(Tensor x) -> Tensor")
        operator.register_fake(torch.empty_like)
        operator.register_vmap(lambda info, dims, x: (getattr(torch.ops.planted, name)(x), dims[0]))
        return operator

    define("bare")
    define("reverse").register_autograd(
        lambda ctx, gradient: gradient * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
    )
    yield SimpleNamespace(bare=lambda h: h + torch.ops.planted.bare(h), reverse=lambda h: h + torch.ops.planted.reverse(h))
    library._destroy()


def test_an_operator_without_a_derivative_is_refused(check, kernel):
    with wrong("derivatives of this model are wrong here|cannot be differentiated here"):
        check(with_patch(kernel.bare))


def test_an_operator_with_a_reverse_mode_derivative_serves(check, kernel):
    errors, careful = check(with_patch(kernel.reverse))
    assert errors.adjoint < 1e-6 and errors.difference < 1e-3 and not careful


def test_an_operator_is_replaced_where_its_library_keeps_plain_operations(check, kernel, monkeypatch):
    plain = SimpleNamespace(bare=torch.tanh)
    monkeypatch.setitem(sys.modules, "planted.backends.eager", plain)
    errors, _ = check(with_patch(kernel.bare))
    assert errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5


def test_a_buffer_of_weights_that_is_overwritten_is_refused(check):
    """As where weights are streamed through memory that layers share: what is kept of them is wrong in silence."""
    model = tiny_model()
    network = model.model.diffusion_model
    layers = [block.transformer_blocks[0].ff.net[2] for block in (network.input_blocks[3][1], network.middle_block[1])]
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
    h, changed = (check(model, then=lambda denoiser, z, sigma: denoiser.encode(z, sigma)) for model in (plain, halves))
    assert (h - changed).norm() > 0.01 * h.norm()


def test_a_wrapper_that_detaches_its_input_is_refused(check):
    model = tiny_model()
    model.set_model_unet_function_wrapper(lambda apply, given: apply(given["input"].detach(), given["timestep"], **given["c"]))
    with wrong():
        check(model)


def test_half_precision_is_checked_in_float32(check):
    """Differences in half precision would be off by most of their length."""
    for dtype, off in ((torch.float16, 0.02), (torch.bfloat16, 0.1)):
        errors, _ = check(tiny_model(dtype=dtype))
        assert errors.difference < 1e-3 and 0 < errors.precision < off and errors.adjoint < 5e-3


def test_what_is_lost_in_half_precision_alone_is_refused(check, kernel):
    """As by an operator that runs there alone, in the place of another one in float32."""
    model = tiny_model(dtype=torch.bfloat16)
    with wrong("derivatives of this model are wrong here|cannot be differentiated here"):
        check(with_patch(lambda h: kernel.bare(h) if h.dtype == torch.bfloat16 else h + torch.tanh(h), model))


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


# What is done about it.


def overwriting(h):
    """A patch that overwrites a part of its input, of which a derivative needs what was there."""
    h[:, ::2] = h[:, ::2] * h.mean(dim=1, keepdim=True)
    return h


def test_parts_are_copied_for_a_patch_that_overwrites_them(check):
    errors, careful = check(with_patch(overwriting))
    assert careful and errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5


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


def test_vectors_go_one_by_one_where_an_operation_knows_no_vmap(check):
    def unbatched(h):
        return Unbatched.apply(h, RuntimeError("no batching rule"))

    errors, careful = check(with_patch(unbatched))
    assert careful and errors.adjoint < 1e-6
    assert check(with_patch(unbatched), then=lambda denoiser, z, sigma: denoiser.batch_size(z.shape[1:])) == 1


def test_a_batch_that_does_not_fit_is_halved(comfy_host, check):
    def large(h):
        return Unbatched.apply(h, torch.OutOfMemoryError("too many vectors"))

    def basis(denoiser, z, sigma):
        return comfy_host.core.local_basis(denoiser, z, sigma, 2, batch_size=denoiser.batch_size(z.shape[1:])), denoiser.careful

    found, careful = check(with_patch(large), then=basis)
    expected, _ = check(with_patch(lambda h: h + torch.tanh(h)), then=basis)
    assert not careful
    torch.testing.assert_close(found.s, expected.s, rtol=1e-4, atol=1e-6)


def test_a_single_vector_that_does_not_fit_is_the_hosts_own_error(check):
    def full(h):
        if h.requires_grad:
            raise torch.OutOfMemoryError("no memory left")
        return h

    with pytest.raises(torch.OutOfMemoryError, match="no memory left"):
        check(with_patch(full))


def test_more_memory_is_asked_for_products(check, monkeypatch):
    asked, load = [], comfy.model_management.load_models_gpu

    def watched(models, memory_required=0, *arguments, **options):
        asked.append(memory_required)
        return load(models, memory_required, *arguments, **options)

    monkeypatch.setattr(comfy.model_management, "load_models_gpu", watched)
    model, cast = tiny_model(), tiny_model(dtype=torch.float16, cast=torch.float32)
    check(model)
    check(model, products=True)
    check(cast, products=True)
    assert asked[1] >= 2 * asked[0] > 0
    assert asked[2] > asked[1] + 2 * cast.model_size()  # the weights as they are computed with, which J^T u keeps


@pytest.mark.parametrize("estimates, offload", [(100, False), (0.5, True)])
def test_activations_are_offloaded_where_the_host_has_little_memory_free(check, monkeypatch, estimates, offload):
    def memory(denoiser, z, sigma):
        free = estimates * denoiser._guider.inner_model.memory_required(z.shape)
        monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: free)
        return denoiser.memory(z.shape[1:])

    assert check(tiny_model(), then=memory) == {"batch_size": None, "offload": offload}


def test_a_model_whose_weights_are_streamed_is_loaded_whole(check, monkeypatch):
    """As newer hosts offer it: `clone(disable_dynamic=True)` of a dynamic patcher."""
    asked, clone = [], comfy.model_patcher.ModelPatcher.clone

    def watched(patcher, disable_dynamic=False):
        asked.append(disable_dynamic)
        return clone(patcher)

    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "clone", watched)
    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "is_dynamic", lambda patcher: True, raising=False)
    check(tiny_model())
    assert True in asked


# That it is done once.


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


@pytest.mark.parametrize("other", [
    {"fraction": 0.5}, {"conditioning": conditioning_for("sd1", seed=4)}, {"conditioning": conditioning_for("sd1", area=(4, 8, 4, 0))},
    {"feature": "input_3"}, {"float32": True},
])
def test_something_else_is_checked_anew(check, counted, other):
    model, calls = counted
    check(model)
    before = len(calls)
    check(model, **other)
    assert len(calls) > before


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


# That nothing stays behind.


def traces(model):
    network = model.model.diffusion_model
    hooks = [(name, len(module._forward_hooks), len(module._forward_pre_hooks)) for name, module in network.named_modules()]
    functions = [len(module.weight_function) for module in network.modules() if hasattr(module, "weight_function")]
    return comfy.ops.fp8_linear, torch.utils.checkpoint.checkpoint, hooks, functions, model.model_options["transformer_options"].keys()


@pytest.mark.parametrize("patch", [torch.tanh, halved])
@pytest.mark.parametrize("kind", ["sd1", "flux", "lumina2"])
def test_the_host_is_as_it_was(check, kind, patch):
    model = tiny_model(kind)
    if kind == "sd1":
        model = with_patch(patch, model)
    before = traces(model)
    try:
        check(model, conditioning_for(kind))
    except ValueError:
        assert patch is halved
    assert traces(model) == before


def test_what_a_network_keeps_of_a_derivative_is_taken_from_it(check):
    """A tensor that autograd recorded holds the whole record; a cache that keeps one would keep that memory."""
    model = tiny_model()
    network = model.model.diffusion_model
    network.kept, network.cache = torch.zeros(3), {}

    def keep(h):
        network.kept = network.late = network.cache["h"] = h
        return h

    seen = []

    def look(denoiser, z, sigma):
        with torch.inference_mode(False), torch.enable_grad():
            denoiser.encode(z.clone().requires_grad_().clone(), sigma)  # no leaf, which is a constant
        seen.append(network.kept)

    check(with_patch(keep, model), then=look)
    assert seen[0].grad_fn is not None
    assert torch.equal(network.kept, torch.zeros(3)) and network.late is None and network.cache["h"] is None
