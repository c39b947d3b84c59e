"""Stand-ins for nodes whose objects remember noise levels, and samplings with them."""

import itertools
import re
from types import SimpleNamespace

import comfy.controlnet
import comfy.hooks
import comfy.patcher_extension
import comfy.samplers
import pytest
import torch
from node_calls import sample_custom
from tiny_models import conditioning_for, draw, latent_for, relative, tiny_model
from variants import Case

EXACT = 1e-4  # the largest relative error of a way back that counts as exact


HALF_SINCE = 0.6  # the share of a sampling after which objects here act in another way


WRAPPERS = comfy.patcher_extension.WrappersMP


def case_for(kind):
    model = tiny_model(kind)
    return Case(kind, model, None, conditioning_for(kind), latent_for(model))


def lora_hooks(case, keyframes, *, size=2.0, seed=1, count=6):
    """A LoRA hook with keyframes, each given as (strength, start percent, guaranteed steps)."""
    hooks = comfy.hooks.create_hook_model_as_lora({}, None, 1.0, 1.0)
    names = [name for name, weight in case.network.named_parameters() if weight.ndim == 2 and "attn" in name][
        :count
    ]
    assert names
    hooks.hooks[0].weights = {
        f"diffusion_model.{name}": ("diff", (size * draw(*weight.shape, seed=seed) / weight.shape[1] ** 0.5,))
        for name, weight in case.network.named_parameters()
        if name in names
    }
    group = comfy.hooks.HookKeyframeGroup()
    for strength, percent, guaranteed in keyframes:
        group.add(comfy.hooks.HookKeyframe(strength, percent, guaranteed))
    hooks.set_keyframes_on_hooks(group)
    return hooks


def hooked(case, hooks, conditioning=None):
    case.conditioning = comfy.hooks.set_hooks_for_conditioning(conditioning or case.conditioning, hooks)
    return case


LATE = [(0.0, 0.0, 1), (1.0, HALF_SINCE, 1)]


KEYFRAMES = {
    "off, then on": LATE,
    "on, then off": [(1.0, 0.0, 1), (0.0, 0.5, 1)],
    "three": [(1.0, 0.0, 1), (0.3, 0.6, 1), (-0.5, 0.8, 1)],
    "guaranteed for steps": [(0.0, 0.0, 3), (1.0, 0.55, 4), (0.3, 0.6, 2)],
    "many between two steps": [(index / 12, 0.5 + 0.02 * index, 1) for index in range(12)],
    "none guaranteed": [(index / 12, 0.4 + 0.05 * index, 0) for index in range(12)],
    "one that starts late": [(0.5, 0.9, 1)],
}


class Ratchet:
    """Changes the model's output below a noise level. It goes back only when a sampling starts."""

    def __init__(self, percent=HALF_SINCE):
        self.percent, self.on, self.steps = percent, False, 0

    def begins(self, executor, *args, **kwargs):  # around the whole sampling
        self.on, self.steps = False, 0
        return executor(*args, **kwargs)

    def __call__(self, executor, x, timestep, *args, **kwargs):
        model = executor.class_obj
        if timestep[0] <= model.model_sampling.percent_to_sigma(self.percent):
            self.on = True
        self.steps += 1
        output = executor(x, timestep, *args, **kwargs)
        return output * (1.05 if self.on else 1.0) * (1 + 0.002 * min(self.steps, 20))


def ratchet(case):
    """A wrapper that is an instance and counts its steps."""
    wrapper = Ratchet()
    case.model.add_wrapper(WRAPPERS.APPLY_MODEL, wrapper)
    case.model.add_wrapper(WRAPPERS.OUTER_SAMPLE, wrapper.begins)
    return wrapper


def closure(case):
    """A function around the model that counts in its closure, and starts again when the noise level rises."""
    steps, last = 0, None

    def function(apply, args):
        nonlocal steps, last
        level = float(args["timestep"][0])
        steps = 0 if last is None or level > last else steps + 1
        last = level
        return apply(args["input"], args["timestep"], **args["c"]) * (1 + 0.01 * min(steps, 10))

    case.model.set_model_unet_function_wrapper(function)
    return function


def containers(case):
    """A function around the model that keeps a list, a dict, an iterator and a tensor."""
    levels, found, count, total = [], {}, itertools.count(), torch.zeros(1)

    def function(apply, args):
        nonlocal count
        level = float(args["timestep"][0])
        if levels and level > levels[-1]:
            levels.clear()
            found.clear()
            total.zero_()
            count = itertools.count()
        levels.append(level)
        found[level] = next(count)
        total.add_(1.0)
        strength = (
            0.01 * min(len(levels), 10) + 0.001 * len(found) + 1e-3 * found[level] + 1e-3 * total.item()
        )
        return apply(args["input"], args["timestep"], **args["c"]) * (1 + strength)

    case.model.set_model_unet_function_wrapper(function)
    return function


class Patch:
    """A patch of a block that fades with every call. The options tell it that a sampling begins."""

    strength = 1.0
    calls = 0

    def __call__(self, h, *args):
        options = args[-1]
        if options["sigmas"][0] == options["sample_sigmas"][0]:
            Patch.strength, self.calls = 1.0, 0
        Patch.strength *= 0.95
        self.calls += 1
        changed = h * (1 + 0.1 * Patch.strength + 0.01 * self.calls)
        return (changed, *args[:-1]) if len(args) > 1 else changed


def block_patch(case):
    """A patch of a UNet's output blocks or of a transformer's block, with a memory in its class."""
    patch = Patch()
    if case.unet:
        case.model.set_model_output_block_patch(patch)
        return patch

    def replaced(args, extra):
        output = extra["original_block"](args)
        return {**output, "img": patch(output["img"], args["transformer_options"])}

    case.model.set_model_patch_replace(replaced, "dit", "double_block", 1)
    return patch


def hook_of_a_wrapper(case):
    """A wrapper in the conditioning, not in the model."""
    wrapper = Ratchet()
    hooks = comfy.hooks.HookGroup()
    hooks.add(
        comfy.hooks.TransformerOptionsHook(
            {
                "wrappers": {
                    WRAPPERS.APPLY_MODEL: {None: [wrapper]},
                    WRAPPERS.OUTER_SAMPLE: {None: [wrapper.begins]},
                }
            }
        )
    )
    hooked(case, hooks)
    return wrapper


class ScheduledControl(comfy.controlnet.ControlBase):
    """A ControlNet with its own keyframes, which only move forward."""

    def __init__(self, shape):
        super().__init__()
        self.shape, self.keyframes, self.index = shape, [(0.0, 0.0), (0.4, 0.3), (0.6, 1.0), (0.8, -0.5)], 0
        self.levels, self.last = None, None

    def pre_run(self, model, percent_to_timestep_function):
        super().pre_run(model, percent_to_timestep_function)
        self.levels = [percent_to_timestep_function(percent) for percent, _ in self.keyframes]
        self.index, self.last = 0, None

    def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
        level = float(t[0])
        if level != self.last and self.index + 1 < len(self.levels) and level <= self.levels[self.index + 1]:
            self.index += 1  # one keyframe at each step, however many have begun
        self.last = level
        residual = self.keyframes[self.index][1] * draw(*self.shape, seed=6).to(x_noisy)
        return {"input": [], "middle": [residual.expand(len(x_noisy), -1, -1, -1)], "output": []}

    def copy(self):
        return self

    def inference_memory_requirements(self, dtype):
        return 0


def control(case):
    """A ControlNet behind another in the chain."""
    if not case.unet:
        pytest.skip("this stand-in gives what UNets take")
    channels = case.network.middle_block[0].out_channels
    scheduled = ScheduledControl((1, channels, 4, 4))
    first = ScheduledControl((1, channels, 4, 4))
    first.keyframes = [(0.0, 0.2)]
    first.get_control = lambda *args: scheduled.get_control(*args)
    first.set_previous_controlnet(scheduled)
    ((context, extra),) = case.conditioning
    case.conditioning = [[context, {**extra, "control": first, "control_apply_to_uncond": True}]]
    return scheduled


MEMORIES = {
    "instance": ratchet,
    "closure": closure,
    "containers": containers,
    "block patch": block_patch,
    "wrapper of a hook": hook_of_a_wrapper,
    "ControlNet": control,
}


# Samplings.


def inverted(call, case, steps=8, timestep=0.5, refine=12, measure=True):
    return call(
        "PullbackDDIMInvert",
        model=case.model,
        conditioning=case.conditioning,
        latent=case.latent,
        steps=steps,
        timestep=timestep,
        refine=refine,
        measure=measure,
    )


def sampled(call, case, latent, sigmas):
    """The host's own sampling back to the picture."""
    return sample_custom(call, case.model, case.conditioning, latent, sigmas)[0]


def error_of_the_way_back(call, case, latent, sigmas):
    return relative(sampled(call, case, latent, sigmas)["samples"], case.latent["samples"])


def measured(report):
    return 1 - float(re.search(r"([0-9.]+)%", report)[1]) / 100


def seen_by_a_sampler(call, case, latent, sigmas):
    """(x, sigma, prediction) of each evaluation of the host's own sampler, as the model gives it."""
    model, seen = case.model.clone(), []

    def watch(executor, x, timestep, *args, **kwargs):
        denoised = executor(x, timestep, *args, **kwargs)
        seen.append((x.clone(), float(timestep[0]), denoised.clone()))
        return denoised

    model.add_wrapper(WRAPPERS.PREDICT_NOISE, watch)
    sampled(call, SimpleNamespace(model=model, conditioning=case.conditioning), latent, sigmas)
    return seen


def picture(x):
    return x.squeeze(2) if x.ndim == 5 else x


def check_each_evaluation(call, within, case, order=reversed):
    """Compare every evaluation of a stock sampler with ours, made in another order and several times."""
    latent, sigmas, _ = inverted(call, case, refine=1, measure=False)
    seen = seen_by_a_sampler(call, case, latent, sigmas)
    assert len(seen) == len(sigmas) - 1

    def evaluations(denoiser, x):
        denoiser = denoiser.along(sigmas)
        denoiser.denoise(picture(seen[-1][0]), seen[-1][1])
        return [denoiser.denoise(picture(x), sigma) for x, sigma, _ in order(seen) for _ in range(2)]

    ours = within(case.model, case.conditioning, case.latent, evaluations)
    for (_, sigma, theirs), first, again in zip(order(seen), ours[::2], ours[1::2]):
        assert torch.equal(first, again), sigma
        assert relative(first, picture(theirs)) < 1e-5, sigma


def without_memory(monkeypatch, comfy_host):
    """Make the adapter leave the host's objects alone, as a contrast for the tests."""
    memory = comfy_host.adapter.level_memory.LevelMemory
    for name in ("restore_at", "restore_start"):
        monkeypatch.setattr(memory, name, lambda self, *args: None)
