"""Objects of the host are after a node as they were before it, so the order of nodes does not matter."""

import pytest
import torch
from remembering import (
    KEYFRAMES,
    LATE,
    Patch,
    block_patch,
    case_for,
    control,
    hooked,
    inverted,
    lora_hooks,
    ratchet,
    sampled,
)


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


def test_a_node_that_fails_leaves_objects_as_they_were_found(call, within):
    case = case_for("sd2v")
    wrapper = ratchet(case)

    def failing(denoiser, x):
        denoiser.denoise(x, 0.1)
        raise KeyError("on the way")

    with pytest.raises(KeyError):
        within(case.model, case.conditioning, case.latent, failing)
    assert (wrapper.on, wrapper.steps) == (False, 0)


def test_keyframes_are_afterwards_as_they_were_found(call):
    """A sampler that starts at the level of our last evaluation would ignore its first step."""
    case = case_for("sd2v")
    hooks = lora_hooks(case, LATE)
    hooked(case, hooks)
    group = hooks.hooks[0].hook_keyframe
    before = dict(vars(group))
    inverted(call, case, steps=3, refine=1)
    assert dict(vars(group)) == before
