"""Objects of the host that remember the noise levels they met: every evaluation of the pack meets them in the state of its level."""

import itertools
import re
from types import SimpleNamespace

import comfy.controlnet
import comfy.hooks
import comfy.patcher_extension
import comfy.samplers
import pytest
import torch
from tiny_models import conditioning_for, draw, latent_for, relative, tiny_model
from variants import Case

EXACT = 1e-4  # relative error of a way back, 0.01%
HALF_SINCE = 0.6  # of the way, from where objects here act in another way
WRAPPERS = comfy.patcher_extension.WrappersMP
KINDS = ("sd1", "sd2v", "flux")
every_kind = pytest.mark.parametrize("kind", KINDS)


def case_for(kind):
    model = tiny_model(kind)
    return Case(kind, model, None, conditioning_for(kind), latent_for(model))


def lora_hooks(case, keyframes, *, size=2.0, seed=1, count=6):
    """A LoRA hook. keyframes: (strength, start percent, guaranteed steps) of each."""
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


# Stand-ins for nodes that remember something.


class Ratchet:
    """Changes the model's output from a level on, and like keyframes, never goes back. Resets as a sampling starts."""

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
    """A wrapper that is an instance, and counts its steps."""
    wrapper = Ratchet()
    case.model.add_wrapper(WRAPPERS.APPLY_MODEL, wrapper)
    case.model.add_wrapper(WRAPPERS.OUTER_SAMPLE, wrapper.begins)
    return wrapper


def closure(case):
    """A function around the model that counts in its closure, and begins again as the levels begin."""
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
    """A patch of a block that fades with every call. It learns from the options that a sampling begins."""

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
    """A patch of the output blocks of a UNet, or of an attention of a transformer, with a memory in its class."""
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
    """A wrapper that arrives by the conditioning, not by the model."""
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
    """A ControlNet with keyframes of its own, which only move forward."""

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
every_memory = pytest.mark.parametrize("memory", MEMORIES)


# What is compared.


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
    """The host's own way back."""
    return call(
        "SamplerCustom",
        model=case.model,
        add_noise=False,
        noise_seed=0,
        cfg=1.0,
        positive=case.conditioning,
        negative=case.conditioning,
        sampler=comfy.samplers.sampler_object("euler"),
        sigmas=sigmas,
        latent_image=latent,
    )[0]


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
    """Compare every evaluation of a stock sampler with one of ours, made in another order and several times."""
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
    """The adapter as if it left the host's objects alone: what the tests here compare with."""
    memory = comfy_host.adapter.level_memory.LevelMemory
    for name in ("restore_at", "restore_start"):
        monkeypatch.setattr(memory, name, lambda self, *args: None)


# Keyframes of hooks.


@every_kind
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
    """Otherwise the tests of keyframes would test nothing."""
    case = case_for("sd2v")
    hooked(case, lora_hooks(case, LATE))
    without_memory(monkeypatch, comfy_host)
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) > 100 * EXACT


def test_rewinding_the_keyframes_alone_does_not_help_the_weights(call, comfy_host, monkeypatch):
    """Otherwise no test would notice weights that stay patched for another strength."""
    case = case_for("sd2v")
    hooked(case, lora_hooks(case, LATE))
    keyframes = comfy_host.adapter.level_memory.keyframes.Keyframes
    monkeypatch.setattr(keyframes, "strengths", lambda self: None)
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) > 100 * EXACT


@pytest.mark.parametrize("kind", ["sd2v", "flux"])
def test_prompts_with_hooks_of_their_own_meet_their_own_keyframes(call, within, kind):
    """Two areas, of which one has two hooks, and a prompt for a part of the time. The host caches patched weights here."""
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
    """As prompts scheduled by hooks of the text encoder are."""
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
    """Keyframes that are guaranteed some steps meet a level in another state where a sampler starts lower."""
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


# Other objects.


@every_kind
@every_memory
def test_the_way_back_is_exact_for_what_remembers_levels(call, kind, memory):
    case = case_for(kind)
    MEMORIES[memory](case)
    latent, sigmas, report = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) < EXACT
    assert measured(report) < EXACT


@pytest.mark.parametrize("kind", ["sd2v", "flux"])
@every_memory
def test_each_evaluation_meets_the_state_of_its_level(call, within, kind, memory):
    case = case_for(kind)
    MEMORIES[memory](case)
    check_each_evaluation(call, within, case)


@every_memory
def test_these_memories_matter_here(call, comfy_host, monkeypatch, memory):
    """Otherwise the tests of them would test nothing."""
    case = case_for("sd2v")
    MEMORIES[memory](case)
    without_memory(monkeypatch, comfy_host)
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) > 10 * EXACT


class Cache:
    """Computes every other step, and reuses what the step before changed."""

    def __init__(self):
        self.change, self.last = None, None

    def __call__(self, apply, args):
        x, level = args["input"], float(args["timestep"][0])
        if self.last is not None and self.last > level and self.change is not None:
            output, self.change = x + self.change, None
        else:
            output = apply(x, args["timestep"], **args["c"])
            self.change = output - x
        self.last = level
        return output


def test_a_cache_computes_every_evaluation_here_and_the_report_says_what_it_costs(call, within):
    case, plain = case_for("sd2v"), case_for("sd2v")
    case.model.set_model_unet_function_wrapper(Cache())
    latent, sigmas, report = inverted(call, case)
    real = error_of_the_way_back(call, case, latent, sigmas)
    assert real > EXACT
    assert measured(report) == pytest.approx(real, rel=0.1)
    assert relative(latent["samples"], inverted(call, plain)[0]["samples"]) < 1e-5


def test_a_list_that_is_only_appended_to_is_kept_for_its_reader(call):
    case, seen = case_for("sd2v"), []

    def function(apply, args):
        seen.append(float(args["timestep"][0]))
        return apply(args["input"], args["timestep"], **args["c"])

    case.model.set_model_unet_function_wrapper(function)
    inverted(call, case, steps=2, refine=0, measure=False)
    assert len(seen) >= 2


# Orders of nodes.


class PixelsOfLatent:
    def decode(self, samples):
        return samples[:, :3].movedim(1, -1).sigmoid()


def nodes_of(call, case, latent, sigmas):
    """name -> run(), of nodes that use the same model, conditioning and latents."""
    hosted = {"model": case.model, "conditioning": case.conditioning}
    search = {"rank": 1, "tolerance": 0.5, "seed": 0, "feature": "middle", "precision": "as the model"}

    def basis():
        return call("PullbackBasis", **hosted, latent=latent, sigmas=sigmas, **search)[0]

    found = basis()
    steered = {
        "basis": found,
        "latent": latent,
        "direction": 1,
        "strength": 1.0,
        "steps": 2,
        "strengths": 2,
        "directions": 1,
    }
    return {
        "invert": lambda: inverted(call, case, steps=3, refine=1)[0]["samples"],
        "basis": lambda: basis().v,
        "edit": lambda: call("PullbackGuidanceEdit", **hosted, **steered)[0]["samples"],
        "fast sheet": lambda: call(
            "PullbackBasisVisualizer",
            **hosted,
            **steered,
            vae=PixelsOfLatent(),
            sigmas=sigmas,
            mode="fast",
            cell=32,
        )[0],
        "full sheet": lambda: call(
            "PullbackBasisVisualizer",
            **hosted,
            **steered,
            vae=PixelsOfLatent(),
            sigmas=sigmas,
            mode="full",
            cell=32,
        )[0],
        "over time": lambda: call(
            "PullbackBasisOverTime",
            **hosted,
            latent=case.latent,
            timesteps="0.3, 0.5",
            steps=4,
            refine=0,
            **search,
        )[1][-1]["samples"],
        "sampler": lambda: sampled(call, case, latent, sigmas)["samples"],
        "sampler from half way": lambda: sampled(call, case, latent, sigmas[1:])["samples"],
    }


def with_keyframes(case):
    hooked(case, lora_hooks(case, KEYFRAMES["guaranteed for steps"], size=1.0))


@pytest.mark.parametrize("memory", [with_keyframes, ratchet, control])
def test_nodes_give_the_same_in_every_order(call, memory):
    def fresh():
        case = case_for("sd2v")
        memory(case)
        latent, sigmas, _ = inverted(call, case, steps=3, refine=2, measure=False)
        return nodes_of(call, case, latent, sigmas)

    alone = {name: fresh()[name]() for name in fresh()}
    for order in (list(alone)[::-1], sorted(alone)):
        together = fresh()
        for name in order:
            assert torch.equal(together[name](), alone[name]), (order, name)


def state_of(value):
    return {name: part for name, part in vars(value).items() if name not in ("timestep_range", "start_t")}


@pytest.mark.parametrize("memory", [ratchet, block_patch, control])
def test_objects_are_afterwards_as_they_were_found(call, memory):
    case = case_for("sd2v")
    remembered = memory(case)
    latent, sigmas, _ = inverted(call, case, steps=4, refine=1)
    sampled(call, case, latent, sigmas)  # leaves a state behind
    before, strength = state_of(remembered), Patch.strength
    for name, run in nodes_of(call, case, latent, sigmas).items():
        if not name.startswith("sampler"):
            run()
    sampled_again = sampled(call, case, latent, sigmas)
    assert state_of(remembered) == before and Patch.strength == strength
    assert torch.equal(sampled_again["samples"], sampled(call, case, latent, sigmas)["samples"])


def test_keyframes_are_afterwards_as_they_were_found(call):
    """A sampler that starts at the level of our last evaluation would ignore its first step."""
    case = case_for("sd2v")
    hooks = lora_hooks(case, LATE)
    hooked(case, hooks)
    group = hooks.hooks[0].hook_keyframe
    before = dict(vars(group))
    inverted(call, case, steps=3, refine=1)
    assert dict(vars(group)) == before


def test_a_node_that_fails_leaves_objects_as_they_were_found(call, within):
    case = case_for("sd2v")
    wrapper = ratchet(case)

    def failing(denoiser, x):
        denoiser.denoise(x, 0.1)
        raise KeyError("on the way")

    with pytest.raises(KeyError):
        within(case.model, case.conditioning, case.latent, failing)
    assert (wrapper.on, wrapper.steps) == (False, 0)


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
        assert comfy_host.adapter.denoiser.is_active(entry, level[0]) == hosts
