"""Objects of other nodes that remember noise levels: each evaluation finds the state of its level."""

import pytest
import torch
from remembering import (
    EXACT,
    MEMORIES,
    case_for,
    check_each_evaluation,
    error_of_the_way_back,
    inverted,
    measured,
    without_memory,
)
from tiny_models import relative

every_memory = pytest.mark.parametrize("memory", MEMORIES)


@pytest.mark.parametrize("kind", ["sd1", "sd2v", "flux"])
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
    """If this fails, the other tests of them test nothing."""
    case = case_for("sd2v")
    MEMORIES[memory](case)
    without_memory(monkeypatch, comfy_host)
    latent, sigmas, _ = inverted(call, case)
    assert error_of_the_way_back(call, case, latent, sigmas) > 10 * EXACT


class Cache:
    """Computes every other step. Between them it reuses the change of the step before."""

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


def test_a_path_is_sampled_only_where_some_object_can_change(call, comfy_host, monkeypatch):
    """The extra sampling takes as long as a sampling of the host."""
    memory, sampled = comfy_host.adapter.level_memory.LevelMemory, []
    sample = memory._sample

    def watched(self, sigmas, *args, **kwargs):
        sampled.append(len(sigmas))
        return sample(self, sigmas, *args, **kwargs)

    monkeypatch.setattr(memory, "_sample", watched)
    strength = 1.1

    def constant(apply, args):
        return strength * apply(args["input"], args["timestep"], **args["c"])

    case = case_for("sd1")
    case.model.set_model_unet_function_wrapper(constant)
    inverted(call, case, steps=3, refine=0, measure=False)
    assert not sampled
    MEMORIES["closure"](case)
    inverted(call, case, steps=3, refine=0, measure=False)
    assert sampled


# Its parts.


@pytest.fixture(scope="module")
def level_memory(comfy_host):
    return comfy_host.adapter.level_memory


def test_a_path_counts_the_evaluations_above_a_noise_level(level_memory):
    path = level_memory.SamplingPath([3.0, 2.0, 1.0, 0.0])
    assert path.evaluated == [3.0, 2.0, 1.0]
    assert [path.count_above(sigma) for sigma in (4.0, 3.0, 2.5, 1.0, 0.0)] == [0, 0, 1, 2, 3]
    assert path.sigmas_above(1.0) == (3.0, 2.0)
    assert path.count_above(torch.tensor(0.1, dtype=torch.float64)) == 3


def test_a_path_compares_noise_levels_in_the_precision_of_the_host(level_memory):
    level = 0.1 + 1e-12
    assert level_memory.SamplingPath(torch.tensor([0.1, 0.0])).count_above(level) == 0


def test_objects_that_share_something_are_one_group(level_memory):
    shared, one, other, alone = [], {}, {}, {"count": 0}
    one["list"], other["list"] = shared, shared
    groups = level_memory.objects.independent_groups([one, alone, other, one, len], ignored=[])
    assert sorted(len(group) for group in groups) == [1, 2]
    assert [alone] in [group for group in groups if group[0] is alone]


def test_an_object_that_joins_groups_makes_them_one(level_memory):
    first, second = [], {}
    groups = level_memory.objects.independent_groups([first, second, (first, second)], ignored=[])
    assert len(groups) == 1 and len(groups[0]) == 3


def test_ignored_objects_join_no_groups(level_memory):
    shared = []
    groups = level_memory.objects.independent_groups([{"a": shared}, {"b": shared}], ignored=[shared])
    assert len(groups) == 2
