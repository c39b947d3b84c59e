"""What holds for every node that runs a model: nothing is left behind, and other models are refused."""

import copy
import json
from types import SimpleNamespace

import comfy.model_management
import comfy.utils
import pytest
import torch
from boards import StandInCLIP
from node_calls import (
    BASIS_OPTIONS,
    SHEET_OPTIONS,
    apply_direction,
    edit,
    every_sampling_node,
    invert,
    over_time,
    refused,
    sample,
)
from tiny_families import draw
from tiny_models import tiny_conditioning, tiny_latent


def state_of(model):
    """All that a node could leave in a MODEL."""
    parts = (
        "model_options",
        "patches",
        "object_patches",
        "backup",
        "object_patches_backup",
        "attachments",
        "wrappers",
        "callbacks",
        "injections",
        "hook_patches",
        "additional_models",
        "force_cast_weights",
    )
    held = {name: copy.deepcopy(getattr(model, name)) for name in parts}
    return held, {name: weight.clone() for name, weight in model.model.state_dict().items()}


def ksampler(call, model):
    return call(
        "KSampler",
        model=model,
        seed=7,
        steps=2,
        cfg=2.0,
        sampler_name="dpmpp_2m",
        scheduler="karras",
        positive=tiny_conditioning(1),
        negative=tiny_conditioning(5),
        latent_image=tiny_latent(),
        denoise=1.0,
    )[0]["samples"]


class StandInVAE:
    @staticmethod
    def decode(latents):
        return latents[:, :3].movedim(1, -1).sigmoid()


def runs(call, case):
    """Each node that runs a model, as name -> function of a MODEL."""

    def on(model):
        return {**case.hosted, "model": model}

    return {
        "PullbackDDIMInvert": lambda model: invert(
            call, SimpleNamespace(**on(model)), case.latent, measure=True
        ),
        "PullbackBasis": lambda model: call(
            "PullbackBasis", **on(model), sigmas=case.sigmas, rank=2, **BASIS_OPTIONS
        ),
        "PullbackGuidanceEdit": lambda model: edit(call, {**on(model), "basis": case.basis}),
        "PullbackBasisVisualizer": lambda model: call(
            "PullbackBasisVisualizer",
            **on(model),
            basis=case.basis,
            sigmas=case.sigmas,
            vae=StandInVAE,
            **{**SHEET_OPTIONS, "mode": "full"},
        ),
        "PullbackBoard": lambda model: set_board(call, case, on(model)),
        "PullbackBasisOverTime": lambda model: over_time(
            call, SimpleNamespace(**on(model)), case.latent, rank=1
        ),
        "PullbackApplyDirection": lambda model: apply_direction(call, {**on(model), "basis": case.basis}),
        "float32": lambda model: call(
            "PullbackBasis",
            **on(model),
            sigmas=case.sigmas,
            rank=1,
            **{**BASIS_OPTIONS, "precision": "float32"},
        ),
        "quality boost": lambda model: sample(
            call,
            SimpleNamespace(**on(model), sigmas=case.sigmas),
            case.latent,
            call("PullbackQualityBoost", boost_below=0.3, eta=0.5)[0],
        ),
    }


def set_board(call, case, hosted):
    """A board with a setting and a word."""
    setting = {"version": 1, "basis": case.id_of_picture, "mix": [0.5, 0.0]}
    inputs = {**hosted, "sigmas": case.sigmas, "basis": case.of_picture, "vae": StandInVAE}
    return call("PullbackBoard", **inputs, words="joy", clip=StandInCLIP(), state=json.dumps(setting))


RUNS = (
    "PullbackDDIMInvert",
    "PullbackBasis",
    "PullbackGuidanceEdit",
    "PullbackBasisVisualizer",
    "PullbackBoard",
    "PullbackBasisOverTime",
    "PullbackApplyDirection",
    "float32",
    "quality boost",
)


def unchanged(call, model, before, sampled):
    assert torch.equal(ksampler(call, model), sampled)
    # After that run, because a clone stays loaded until another one is asked for: that is the host's own way.
    held, weights = state_of(model)
    for name, value in before[0].items():
        assert held[name] == value, name
    assert all(torch.equal(weight, before[1][name]) for name, weight in weights.items())


@pytest.mark.parametrize("name", RUNS)
def test_a_node_leaves_the_model_as_it_was(call, tiny, name):
    sampled, before = ksampler(call, tiny.model), state_of(tiny.model)
    runs(call, tiny)[name](tiny.model)
    unchanged(call, tiny.model, before, sampled)


@pytest.mark.parametrize("name", RUNS)
def test_a_node_that_fails_half_way_leaves_the_model_as_it_was(call, tiny, name):
    sampled, before = ksampler(call, tiny.model), state_of(tiny.model)
    broken, calls = tiny.model.clone(), iter(range(1000))

    def fail_from_the_third_time_on(apply, given):
        if next(calls) >= 2:
            raise RuntimeError("no memory left")
        return apply(given["input"], given["timestep"], **given["c"])

    broken.set_model_unet_function_wrapper(fail_from_the_third_time_on)
    with pytest.raises((RuntimeError, ValueError), match="no memory left"):
        runs(call, tiny)[name](broken)
    unchanged(call, tiny.model, before, sampled)


@pytest.mark.parametrize("name", RUNS)
def test_cancelling_ends_a_node_and_leaves_the_model_as_it_was(call, tiny, name, monkeypatch):
    # The server looks for a wish to cancel whenever a progress bar moves, which is what ends its samplers.
    look = lambda *_, **__: comfy.model_management.throw_exception_if_processing_interrupted()
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", look)
    sampled, before = ksampler(call, tiny.model), state_of(tiny.model)
    cancelled, calls = tiny.model.clone(), iter(range(1000))

    def cancel_the_second_time(apply, given):
        if next(calls) == 1:
            comfy.model_management.interrupt_current_processing()
        return apply(given["input"], given["timestep"], **given["c"])

    cancelled.set_model_unet_function_wrapper(cancel_the_second_time)
    try:
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            runs(call, tiny)[name](cancelled)
        assert next(calls) < 6, "it went on for long"
        assert not comfy.model_management.processing_interrupted()
    finally:
        comfy.model_management.interrupt_current_processing(False)
    unchanged(call, tiny.model, before, sampled)
    runs(call, tiny)[name](tiny.model)


def test_nodes_change_none_of_their_inputs(call, face):
    basis = [face.basis.v, face.basis.s, face.basis.u]
    tensors = [face.latent["samples"], face.sigmas, face.conditioning[0][0], face.clean["samples"], *basis]
    before, entries = (
        [tensor.clone() for tensor in tensors],
        (list(face.latent), copy.deepcopy(face.conditioning[0][1])),
    )
    invert(call, face, face.clean)
    call("PullbackBasis", **face.hosted, sigmas=face.sigmas, rank=1, **BASIS_OPTIONS)
    edit(call, face.inputs, mask=torch.ones(1, 16, 16))
    assert all(torch.equal(tensor, old) for tensor, old in zip(tensors, before))
    assert (list(face.latent), face.conditioning[0][1]) == entries


@pytest.mark.parametrize("size", [(24, 40), (10, 6), (9, 7)])
def test_latents_of_any_size_go_all_the_way(call, tiny, size):
    latent, sigmas, _ = invert(call, tiny, tiny_latent(1, *size))
    hosted = {**tiny.hosted, "latent": latent}
    (basis,) = call("PullbackBasis", **hosted, sigmas=sigmas, rank=1, **{**BASIS_OPTIONS, "tolerance": 0.4})
    assert basis.v.shape == (1, 4, *size)
    edited = edit(call, {**hosted, "basis": basis}, steps=2)["samples"]
    assert (
        edited.shape == (1, 4, *size)
        and torch.isfinite(edited).all()
        and not torch.equal(edited, latent["samples"])
    )


SAMPLING = (
    "PullbackDDIMInvert",
    "PullbackBasis",
    "PullbackGuidanceEdit",
    "PullbackBasisVisualizer",
    "PullbackBoard",
    "PullbackBasisOverTime",
    "PullbackApplyDirection",
)


@pytest.mark.parametrize("node", SAMPLING)
def test_latents_of_another_model_are_refused(call, tiny, node):
    with refused("needs \\(batch, 4, height, width\\); encode the picture with the VAE"):
        every_sampling_node(call, tiny, latent={"samples": draw(1, 16, 8, 8, seed=0)})[node]()


@pytest.mark.parametrize("node", SAMPLING)
def test_videos_are_refused(call, tiny, node):
    with refused("needs \\(batch, 4, height, width\\)"):
        every_sampling_node(call, tiny, latent={"samples": draw(1, 4, 2, 8, 8, seed=0)})[node]()


@pytest.mark.parametrize("node", SAMPLING)
def test_other_kinds_of_sampling_are_refused(call, tiny, node):
    (other,) = call(
        "ModelSamplingContinuousEDM", model=tiny.model, sampling="edm", sigma_max=120.0, sigma_min=0.002
    )
    with refused("samples as .*EDM; only eps- and v-prediction .* and rectified flow .* are known here"):
        every_sampling_node(call, tiny, model=other)[node]()


@pytest.mark.parametrize("node", SAMPLING)
def test_models_without_a_unet_are_refused(call, tiny, node):
    other = tiny.model.clone()
    other.add_object_patch("diffusion_model", torch.nn.Identity())
    with refused("needs a UNet .* or a transformer .* got Identity"):
        every_sampling_node(call, tiny, model=other)[node]()


@pytest.mark.parametrize("node", ["PullbackBasis", "PullbackBasisOverTime", "PullbackApplyDirection"])
def test_a_patch_without_a_derivative_is_refused(call, tiny, node):
    model = tiny.model.clone()
    model.set_model_input_block_patch(lambda h, options: h / 2 + h.detach() / 2)
    with refused("derivatives of this model are wrong here"):
        every_sampling_node(call, tiny, model=model)[node]()
