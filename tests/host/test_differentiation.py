"""The check of derivatives: what is planted into a model to make them wrong is found, and nothing of the check stays behind."""

import re
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import comfy.cli_args
import comfy.hooks
import comfy.ldm.modules.attention as host_attention
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import numpy as np
import pytest
import torch
from tiny_models import SHAPE, conditioning_for, latent_for, noisy, tiny_model
from torch.nn import Linear
from variants import packed


@pytest.fixture(scope="module")
def check(comfy_host, within):
    """check(model, ...) -> (errors, whether it took care): the check at a noisy latent, in inference mode as in the server."""

    def run(model, conditioning=None, latent=None, fraction=0.7, then=None, **options):
        def work(denoiser, x):
            z, sigma = noisy(denoiser, x, fraction)
            errors = comfy_host.adapter.check_derivatives(denoiser, z, sigma)
            return then(denoiser, z, sigma) if then else (errors, denoiser.careful)

        return within(
            model, conditioning or conditioning_for("sd1"), latent or latent_for(model), work, **options
        )

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
        operator = torch.library.custom_op(
            f"planted::{name}", lambda x: torch.tanh(x), mutates_args=(), schema="(Tensor x) -> Tensor"
        )
        operator.register_fake(torch.empty_like)
        operator.register_vmap(lambda info, dims, x: (getattr(torch.ops.planted, name)(x), dims[0]))
        return operator

    define("bare")
    define("reverse").register_autograd(
        lambda ctx, gradient: gradient * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2),
        setup_context=lambda ctx, inputs, output: ctx.save_for_backward(inputs[0]),
    )
    yield SimpleNamespace(
        bare=lambda h: h + torch.ops.planted.bare(h), reverse=lambda h: h + torch.ops.planted.reverse(h)
    )
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


class Scaled(torch.autograd.Function):
    """x * scale, which keeps both, as fused kernels do."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x, scale)
        return x * scale

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[1], None


@pytest.fixture(scope="module")
def scaling():
    """Operators of a weight, as newer hosts call them: with the weight as it was loaded, an inference tensor."""
    library = torch.library.Library("planted_scaling", "FRAGMENT")
    for name, schema in {
        "scale": "(Tensor x, Tensor weight) -> Tensor",
        "scale_parts": "(Tensor[] parts, *, Tensor weight) -> Tensor",
        "scale_": "(Tensor(a!) x, Tensor weight) -> ()",
    }.items():
        library.define(name + schema)

    def product(x, weight):  # by another library than torch, so that its operations have no derivatives
        return torch.from_numpy(x.detach().numpy() * weight.detach().numpy())

    library.impl("scale", product, "CPU")
    library.impl(
        "scale_parts", lambda parts, weight: product(sum(part.detach() for part in parts), weight), "CPU"
    )
    library.impl("scale_", lambda x, weight: np.copyto(x.detach().numpy(), product(x, weight).numpy()), "CPU")
    with torch.inference_mode():
        weight = torch.linspace(0.5, 1.5, SHAPE["model_channels"]).view(1, -1, 1, 1)
    operators = torch.ops.planted_scaling

    def in_place(h):
        h = 1 * h
        operators.scale_(h, weight)
        return h

    yield {
        "plain": lambda h: h + operators.scale(torch.tanh(h), weight),
        "overload": lambda h: operators.scale.default(torch.tanh(h), weight=weight),
        "nested": lambda h: operators.scale_parts([torch.tanh(h), h], weight=weight),
        "in place": in_place,
    }
    library._destroy()


@pytest.mark.parametrize(
    "scale",
    [lambda x, weight: Scaled.apply(x, weight), torch.mul],
    ids=["kept by a function", "kept by torch"],
)
@pytest.mark.parametrize("name", ["plain", "overload", "nested", "in place"])
def test_no_weight_of_inference_mode_reaches_what_autograd_keeps(check, scaling, monkeypatch, name, scale):
    with torch.inference_mode():
        table = torch.ones(1)  # as one that a library makes once

    def scaled(x, weight):
        return scale(x, weight) * table

    plain = SimpleNamespace(scale=scaled, scale_parts=lambda parts, weight: scaled(sum(parts), weight))
    monkeypatch.setitem(sys.modules, "planted_scaling.backends.eager", plain)
    errors, careful = check(with_patch(scaling[name]))
    assert errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5 and not careful


def test_an_operator_that_loses_a_small_share_is_refused(check):
    """Its share may be smaller than what a curved map makes of differences."""
    library = torch.library.Library("planted_share", "FRAGMENT")
    operator = torch.library.custom_op(
        "planted_share::small", lambda x: 0.05 * x, mutates_args=(), schema="(Tensor x) -> Tensor"
    )
    operator.register_autograd(lambda ctx, gradient: torch.zeros_like(gradient))
    try:
        with wrong():
            check(with_patch(lambda h: h + torch.ops.planted_share.small(h)))
    finally:
        library._destroy()


def test_an_operator_of_constants_is_not_under_suspicion(check, kernel):
    """As those that unpack weights: what differentiated values do not go through loses nothing of them."""
    weight = torch.ones(1)
    found = check(
        with_patch(lambda h: h * torch.ops.planted.bare(weight)),
        then=lambda denoiser, z, sigma: denoiser.foreign,
    )
    assert not found


def test_a_buffer_of_weights_that_is_overwritten_is_refused(check):
    """As where weights are streamed through memory that layers share: what is kept of them is wrong in silence."""
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
        check(model, then=lambda denoiser, z, sigma: denoiser.encode(z, sigma)) for model in (plain, halves)
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
        errors, _ = check(tiny_model(dtype=dtype))
        assert errors.difference < 1e-3 and 0 < errors.precision < off and errors.adjoint < 5e-3


FORMS = [*getattr(comfy.quant_ops, "QUANT_ALGOS", ())] if hasattr(comfy, "quant_ops") else []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["sd1", "flux"])
def test_weights_of_every_packed_form_serve(check, monkeypatch, kind, form):
    """Each is unpacked before it is multiplied. None of the host's own products of packed numbers has a derivative."""
    model = packed(kind, monkeypatch, form)
    if model is None:
        pytest.skip("no layer of the tiny model is wide enough for this form")
    errors, careful = check(model, conditioning_for(kind))
    assert errors.adjoint < 5e-3 and errors.difference < 2e-3 and 0 < errors.precision < 0.1 and not careful


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
    assert (
        check(
            with_patch(unbatched), then=lambda denoiser, z, sigma: denoiser.memory(z.shape[1:])["batch_size"]
        )
        == 1
    )


def test_a_batch_that_does_not_fit_is_halved(comfy_host, check):
    def large(h):
        return Unbatched.apply(h, torch.OutOfMemoryError("too many vectors"))

    def basis(denoiser, z, sigma):
        noisy = comfy_host.core.NoisyLatent(z, torch.tensor([sigma, 0.0], dtype=torch.float64))
        return comfy_host.core.local_basis(
            denoiser, noisy, 2, batch_size=denoiser.memory(z.shape[1:])["batch_size"]
        ), denoiser.careful

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
    assert (
        asked[2] > asked[1] + 2 * cast.model_size()
    )  # the weights as they are computed with, which J^T u keeps


@pytest.mark.parametrize("estimates, offload", [(100, False), (0.5, True)])
def test_activations_are_offloaded_where_the_host_has_little_memory_free(
    check, monkeypatch, estimates, offload
):
    def memory(denoiser, z, sigma):
        free = estimates * denoiser._guider.inner_model.memory_required(z.shape)
        monkeypatch.setattr(comfy.model_management, "get_free_memory", lambda device: free)
        return denoiser.memory(z.shape[1:])

    assert check(tiny_model(), then=memory) == {"batch_size": None, "offload": offload}


# What newer hosts have. A CPU streams no weights, captures no graphs and is one device, so each is a stand-in for the host's code.


def test_a_model_whose_weights_are_streamed_is_loaded_whole(check, monkeypatch):
    """As hosts with DynamicVRAM first offered it: `clone(disable_dynamic=True)` of a dynamic patcher."""
    asked, clone = [], comfy.model_patcher.ModelPatcher.clone

    def watched(patcher, disable_dynamic=False):
        asked.append(disable_dynamic)
        return clone(patcher)

    model = tiny_model()
    model.cached_patcher_init = (tiny_model, ())
    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "clone", watched)
    monkeypatch.setattr(comfy.model_patcher.ModelPatcher, "is_dynamic", lambda patcher: True, raising=False)
    check(model)
    assert True in asked


class Dynamic(comfy.model_patcher.ModelPatcher):
    def is_dynamic(self):
        return True


@pytest.fixture
def dynamic():
    """dynamic(read): a MODEL that the host streams, and reads whole by read(disable_dynamic)."""
    if not hasattr(comfy.model_patcher.ModelPatcher, "get_clone_model_override"):
        pytest.skip("this host streams no weights")

    def make(read):
        plain = tiny_model()
        model = Dynamic(plain.model, plain.load_device, plain.offload_device)
        model.cached_patcher_init = read and (read, ())
        return model

    return make


def test_a_model_is_read_once_for_all_its_clones(check, dynamic):
    read = []

    def whole(disable_dynamic):
        read.append(disable_dynamic)
        return tiny_model()

    model = dynamic(whole)
    loaded = [
        check(one, then=lambda denoiser, z, sigma: denoiser._guider)
        for one in (model, model, with_patch(torch.tanh, model))
    ]
    assert read == [True]
    assert not any(guider.model_patcher.is_dynamic() for guider in loaded)
    assert all(guider.model_patcher.model is not model.model for guider in loaded)


def test_a_model_that_cannot_be_read_again_serves_as_it_is(check, dynamic):
    errors, _ = check(dynamic(None))
    assert errors.adjoint < 1e-6 and errors.difference < 1e-3


def test_layers_whose_weights_are_streamed_compute_with_copies(check):
    """The host's memory for streamed weights holds others by the time of a product."""
    model, memory, streamed = tiny_model(), torch.empty(2**16), []

    class Streamed(comfy.ops.manual_cast.Linear):
        def forward_comfy_cast_weights(self, values):
            weight = memory[: self.weight.numel()].view(self.weight.shape)
            np.copyto(
                weight.numpy(), self.weight.detach().numpy()
            )  # through which torch does not see it change
            for function in self.weight_function:
                weight = function(weight)
            return torch.nn.functional.linear(values, weight, self.bias)

    for module in model.model.diffusion_model.modules():
        for layer in module.children():
            if isinstance(layer, torch.nn.Linear):
                layer.__class__, layer._v = Streamed, object()
                streamed.append(layer)
    errors, careful = check(model)
    assert (
        len(streamed) > 10
        and errors.adjoint < 1e-6
        and errors.difference < 1e-3
        and errors.value < 1e-5
        and not careful
    )
    assert not any(layer.weight_function or layer.bias_function for layer in streamed)


class Buffered(comfy.ops.manual_cast):
    """Offloaded layers as the host fetches them on a card: into one buffer for all where it has streams."""

    buffer = torch.empty(2**16)

    class Linear(comfy.ops.manual_cast.Linear):
        def forward_comfy_cast_weights(self, values):
            if comfy.model_management.NUM_STREAMS == 0:
                weight = self.weight.detach().clone()
            else:
                weight = Buffered.buffer[: self.weight.numel()].view(self.weight.shape)
                np.copyto(weight.numpy(), self.weight.detach().numpy())
            return torch.nn.functional.linear(values, weight, self.bias)


def test_offloaded_weights_share_no_buffer(check, monkeypatch):
    monkeypatch.setattr(comfy.model_management, "NUM_STREAMS", 2)

    def configure(config):
        config.custom_operations = Buffered

    errors, careful = check(tiny_model(configure=configure))
    assert errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5 and not careful
    assert comfy.model_management.NUM_STREAMS == 2


@pytest.mark.parametrize("ending", [None, ValueError, BaseException])
def test_what_the_host_offers_to_switch_is_held_and_given_back(check, monkeypatch, ending):
    management, arguments = comfy.model_management, comfy.cli_args.args
    monkeypatch.setattr(management, "in_training", False, raising=False)
    monkeypatch.setattr(management, "NUM_STREAMS", 2, raising=False)
    monkeypatch.setattr(arguments, "disable_cuda_graphs", False, raising=False)
    seen = []

    def look(h):
        if h.requires_grad:
            seen.append((management.in_training, management.NUM_STREAMS, arguments.disable_cuda_graphs))
            if ending:
                raise ending("stop")
        return h

    with pytest.raises(ending) if ending else nullcontext():
        check(with_patch(look))
    assert set(seen) == {(True, 0, True)}
    assert (management.in_training, management.NUM_STREAMS, arguments.disable_cuda_graphs) == (
        False,
        2,
        False,
    )


def test_a_host_without_these_switches_gets_none(check, monkeypatch):
    monkeypatch.delattr(comfy.model_management, "in_training", raising=False)
    monkeypatch.delattr(comfy.cli_args.args, "disable_cuda_graphs", raising=False)
    check(tiny_model())
    assert not hasattr(comfy.model_management, "in_training") and not hasattr(
        comfy.cli_args.args, "disable_cuda_graphs"
    )


def test_what_was_fetched_ahead_is_given_back_where_a_forward_pass_is_left(check, monkeypatch):
    waiting = []
    queues = SimpleNamespace(cleanup_prefetch_queues=waiting.clear)
    monkeypatch.setitem(sys.modules, "comfy.model_prefetch", queues)
    check(with_patch(lambda h: (waiting.append("the next block"), h)[1]))
    assert not waiting


def test_nothing_is_left_in_the_hosts_own_queues(check):
    prefetch = pytest.importorskip("comfy.model_prefetch")
    layer = Linear(2, 2)

    def fetch_ahead(h):
        layer._prefetch = {"signature": None}
        prefetch.PREFETCH_QUEUES.append([None, (None, (layer, [layer])), None])
        return h

    check(with_patch(fetch_ahead))
    assert not prefetch.PREFETCH_QUEUES and not hasattr(layer, "_prefetch")


def test_work_shared_among_several_cards_stays_on_one(check, monkeypatch):
    """Threads of other cards know nothing of derivatives."""
    multigpu = pytest.importorskip("comfy.multigpu")
    monkeypatch.setattr(multigpu, "MultiGPUThreadPool", lambda devices: pytest.fail("work was shared"))
    model = tiny_model()
    other = model.clone()
    other.is_multigpu_base_clone = True
    model.set_additional_models("multigpu", [other])
    errors, _ = check(model)
    assert errors.adjoint < 1e-6
    assert model.get_additional_models_with_key("multigpu") == [other]


@pytest.mark.parametrize("kind", ["sd1", "flux", "lumina2"])
def test_attention_in_int8_is_exact_where_derivatives_are_taken(check, kind):
    """The host's node for it replaces attention by an operator that runs on a card only, and has no derivative."""
    int8 = getattr(host_attention, "attention_comfy_kitchen_int8", None)
    if int8 is None:
        pytest.skip("this host has no attention in int8")
    model = tiny_model(kind)
    model.set_model_optimized_attention(int8)
    errors, careful = check(model, conditioning_for(kind))
    assert errors.adjoint < 1e-6 and errors.difference < 1e-3 and errors.value < 1e-5 and not careful


def test_differences_are_those_of_exact_attention(check, monkeypatch):
    """Where the host's default attention computes in int8, its result changes by steps."""

    def stepped(q, k, v, heads, *args, **kwargs):
        return host_attention.attention_pytorch(
            *((part * 32).round() / 32 for part in (q, k, v)), heads, *args, **kwargs
        )

    stepped = getattr(host_attention, "wrap_attn", lambda function: function)(stepped)
    monkeypatch.setattr(host_attention, "REGISTERED_ATTENTION_FUNCTIONS", {"sage": stepped}, raising=False)
    for name in ("optimized_attention", "optimized_attention_masked"):
        monkeypatch.setattr(host_attention, name, stepped)
    errors, _ = check(tiny_model())
    assert errors.difference < 1e-3 and errors.value < 1e-5


# What is remembered.


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
    def basis(denoiser, z, sigma):
        noisy = comfy_host.core.NoisyLatent(z, torch.tensor([sigma, 0.0], dtype=torch.float64))
        found = comfy_host.core.local_basis(
            denoiser, noisy, 2, batch_size=denoiser.memory(z.shape[1:])["batch_size"]
        )
        return found, denoiser.careful, denoiser.memory(z.shape[1:])["batch_size"]

    model = with_patch(failing_once(fails=1))
    plain = check(with_patch(failing_once(fails=0)), then=basis)
    for _ in range(2):  # the one that failed on the way, and what is remembered of it
        found = check(model, then=basis)
        assert found[1:] == plain[1:] == (False, None)
        assert torch.equal(found[0].s, plain[0].s) and torch.equal(found[0].v, plain[0].v)


def test_an_error_that_comes_again_takes_care_at_once_for_one_model_alone(check):
    model = with_patch(overwriting)
    assert check(model)[1] and check(model)[1]
    assert not check(with_patch(torch.tanh))[1]


def test_care_at_one_noise_level_is_not_care_at_another(check, comfy_host):
    """Only what was measured at a level counts there, in whatever order levels come."""
    model = tiny_model()

    def overwriting_at_high_levels(h, options):
        return overwriting(h) if options["block"] == ("input", 2) and options["sigmas"].item() > 2 else h

    model.set_model_input_block_patch(overwriting_at_high_levels)

    def at_a_lower_level(denoiser, z, sigma):
        before = denoiser.careful
        comfy_host.adapter.check_derivatives(denoiser, z, 1.0)
        return before, denoiser.careful

    assert check(model, then=at_a_lower_level) == (True, False)


def test_an_error_without_a_text_is_refused_in_a_sentence(check):
    def failing(h):
        if h.requires_grad:
            raise RuntimeError
        return h

    with pytest.raises(ValueError, match=r"cannot be differentiated here \(RuntimeError\)"):
        check(with_patch(failing))


def test_a_control_is_told_from_one_that_is_gone(comfy_host):
    """An id of an object is given again to another one."""

    class Control:
        pass

    first, second = Control(), Control()
    of = comfy_host.adapter.session._reference
    gone = of(first)
    assert gone == of(first) != of(second) and of(None) is None
    del first
    assert all(gone != of(Control()) for _ in range(100))


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

    def on_two_ways(denoiser, z, sigma):
        for above in ([14.0], [14.0, 8.0], [14.0]):
            comfy_host.adapter.check_derivatives(denoiser.along([*above, float(sigma), 0.0]), z, sigma)
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


# That nothing stays behind.


def traces(model):
    network = model.model.diffusion_model
    hooks = [
        (name, len(module._forward_hooks), len(module._forward_pre_hooks))
        for name, module in network.named_modules()
    ]
    functions = [
        len(module.weight_function) for module in network.modules() if hasattr(module, "weight_function")
    ]
    return (
        comfy.ops.fp8_linear,
        torch.utils.checkpoint.checkpoint,
        hooks,
        functions,
        model.model_options["transformer_options"].keys(),
    )


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
    assert torch.equal(network.kept, torch.zeros(3))
    assert getattr(network, "late", None) is None and network.cache.get("h") is None
