"""How the host's networks are computed where derivatives are taken, and that the host is restored.

A CPU streams no weights and captures no graphs, so tests of newer hosts have stand-ins for the host's code.
"""

import sys
from contextlib import nullcontext
from types import SimpleNamespace

import comfy.cli_args
import comfy.ldm.modules.attention as host_attention
import comfy.model_management
import comfy.ops
import numpy as np
import pytest
import torch
from patched_models import halved, is_exact, with_patch
from tiny_models import conditioning_for, tiny_model
from torch.nn import Linear
from variants import packed

# Weights.


FORMS = [*getattr(comfy.quant_ops, "QUANT_ALGOS", ())] if hasattr(comfy, "quant_ops") else []


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["sd1", "flux"])
def test_weights_of_every_packed_form_serve(check, monkeypatch, kind, form):
    """Packed weights are converted before they are multiplied; the host's own products have no derivative."""
    model = packed(kind, monkeypatch, form)
    if model is None:
        pytest.skip("no layer of the tiny model is wide enough for this form")
    checked = check(model, conditioning_for(kind))
    errors = checked.errors
    assert errors.adjoint < 5e-3 and errors.difference < 2e-3 and 0 < errors.precision < 0.1
    assert not checked.copy_slices


def test_layers_whose_weights_are_streamed_compute_with_copies(check):
    """The host's memory for streamed weights holds other weights by the time of a product."""
    model, memory, streamed = tiny_model(), torch.empty(2**16), []

    class Streamed(comfy.ops.manual_cast.Linear):
        def forward_comfy_cast_weights(self, values):
            weight = memory[: self.weight.numel()].view(self.weight.shape)
            # Torch does not see a change through numpy.
            np.copyto(weight.numpy(), self.weight.detach().numpy())
            for function in self.weight_function:
                weight = function(weight)
            return torch.nn.functional.linear(values, weight, self.bias)

    for module in model.model.diffusion_model.modules():
        for layer in module.children():
            if isinstance(layer, torch.nn.Linear):
                layer.__class__, layer._v = Streamed, object()
                streamed.append(layer)
    checked = check(model)
    assert len(streamed) > 10 and is_exact(checked)
    assert not any(layer.weight_function or layer.bias_function for layer in streamed)


class Buffered(comfy.ops.manual_cast):
    """Offloaded layers as the host loads them on a GPU: into one buffer for all, if it has streams."""

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

    checked = check(tiny_model(configure=configure))
    assert is_exact(checked)
    assert comfy.model_management.NUM_STREAMS == 2


# Switches of the host.


@pytest.mark.parametrize("ending", [None, ValueError, BaseException])
def test_switches_of_the_host_are_set_and_restored(check, monkeypatch, ending):
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


# Prefetched weights.


def test_prefetched_weights_are_released_when_a_forward_pass_ends_early(check, monkeypatch):
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


# Attention.


@pytest.mark.parametrize("kind", ["sd1", "flux", "lumina2"])
def test_attention_in_int8_is_exact_where_derivatives_are_taken(check, kind):
    """The host's node for it replaces attention by an operator without derivative, which needs a GPU."""
    int8 = getattr(host_attention, "attention_comfy_kitchen_int8", None)
    if int8 is None:
        pytest.skip("this host has no attention in int8")
    model = tiny_model(kind)
    model.set_model_optimized_attention(int8)
    checked = check(model, conditioning_for(kind))
    assert is_exact(checked)


def test_differences_are_those_of_exact_attention(check, monkeypatch):
    """If the host's default attention computes in int8, its result changes in steps."""

    def stepped(q, k, v, heads, *args, **kwargs):
        return host_attention.attention_pytorch(
            *((part * 32).round() / 32 for part in (q, k, v)), heads, *args, **kwargs
        )

    stepped = getattr(host_attention, "wrap_attn", lambda function: function)(stepped)
    monkeypatch.setattr(host_attention, "REGISTERED_ATTENTION_FUNCTIONS", {"sage": stepped}, raising=False)
    for name in ("optimized_attention", "optimized_attention_masked"):
        monkeypatch.setattr(host_attention, name, stepped)
    errors = check(tiny_model()).errors
    assert errors.difference < 1e-3 and errors.value < 1e-5


# Nothing stays behind.


def state_of(model):
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
    before = state_of(model)
    try:
        check(model, conditioning_for(kind))
    except ValueError:
        assert patch is halved
    assert state_of(model) == before


def test_a_network_keeps_no_tensor_of_a_derivative(check):
    """A tensor with a grad_fn holds a whole autograd graph; a cache that keeps one would keep that memory."""
    model = tiny_model()
    network = model.model.diffusion_model
    network.kept, network.cache = torch.zeros(3), {}

    def keep(h):
        network.kept = network.late = network.cache["h"] = h
        return h

    seen = []

    def look(checked, noisy):
        with torch.inference_mode(False), torch.enable_grad():
            x = noisy.x.clone().requires_grad_().clone()  # a leaf would be a constant
            checked.encode(x, noisy.sigma)
        seen.append(network.kept)

    check(with_patch(keep, model), then=look)
    assert seen[0].grad_fn is not None
    assert torch.equal(network.kept, torch.zeros(3))
    assert getattr(network, "late", None) is None and network.cache.get("h") is None
