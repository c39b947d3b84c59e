"""Noise levels that a model does not have, in every node that takes SIGMAS or a basis."""

import dataclasses
import itertools
import math

import pytest
import torch
from node_calls import sample_custom, tiny_noisy
from tiny_models import conditioning_for, tiny_model

SHEET = {
    "mode": "full",
    "direction": 1,
    "directions": 1,
    "strengths": 2,
    "strength": 1.0,
    "steps": 1,
    "cell": 32,
}
SEARCH = {"rank": 1, "tolerance": 0.5, "seed": 0, "feature": "middle", "precision": "as the model"}
EDIT = {"direction": 1, "strength": 1.0, "steps": 1, "strengths": 1, "directions": 1}
NODES = ("PullbackBasis", "PullbackGuidanceEdit", "PullbackBasisVisualizer", "PullbackExplainFeatures")
LARGEST = {"sd1": r"14\.6146", "flux": "1"}


class Case:
    """A tiny model with a noisy latent, its levels and its basis."""

    def __init__(self, call, kind):
        self.call, self.kind, self.model, self.conditioning = (
            call,
            kind,
            tiny_model(kind),
            conditioning_for(kind),
        )
        self.hosted = {"model": self.model, "conditioning": self.conditioning}
        noisy = tiny_noisy(call, self.model, self.conditioning, timestep=0.7)
        self.latent, self.sigmas = noisy["latent"], noisy["sigmas"]
        (self.basis,) = call("PullbackBasis", **noisy, **SEARCH)

    def run(self, node, sigmas, latent):
        if node == "sampler":
            (sampler,) = self.call("PullbackQualityBoost", boost_below=0.0, eta=0.0)
            return sample_custom(self.call, self.model, self.conditioning, latent, sigmas, sampler)
        options = {
            "PullbackBasis": {"sigmas": sigmas, **SEARCH},
            "PullbackGuidanceEdit": {
                "basis": dataclasses.replace(self.basis, sigma=float(sigmas[0])),
                **EDIT,
            },
            "PullbackBasisVisualizer": {"basis": self.basis, "vae": None, "sigmas": sigmas, **SHEET},
            "PullbackExplainFeatures": {
                "sigmas": sigmas,
                "features": "middle",
                "rank": 1,
                "precision": "as the model",
            },
        }
        return self.call(node, **self.hosted, latent=latent, **options[node])


@pytest.fixture(scope="module", params=["sd1", "flux"])
def case(request, call):
    return Case(call, request.param)


@pytest.mark.parametrize("tagged", [True, False], ids=["of DDIM Invert", "of a sampler"])
@pytest.mark.parametrize(
    "node, level",
    [
        *itertools.product(NODES, [4518.0, math.inf, math.nan, -1.0]),
        *itertools.product(
            ["sampler"], [4518.0, math.inf]
        ),  # the host's own sampling refuses the others, or does nothing
    ],
)
def test_levels_that_the_model_lacks_are_refused_naming_its_largest(case, node, level, tagged):
    latent = case.latent if tagged else {"samples": case.latent["samples"]}
    with pytest.raises(ValueError, match=rf"(up to|largest of this model is) {LARGEST[case.kind]}[,.;]"):
        case.run(node, torch.tensor([level, 0.3, 0.0]), latent)


def test_levels_slightly_above_pure_noise_are_refused_in_flows(case):
    if case.kind == "flux":
        with pytest.raises(ValueError, match=r"up to 1, got 3\.3"):
            case.run("PullbackBasis", torch.tensor([3.3, 0.5, 0.0]), {"samples": case.latent["samples"]})


def test_the_largest_level_is_accepted_as_schedulers_give_it(case):
    levels = case.call("BasicScheduler", model=case.model, scheduler="karras", steps=3, denoise=1.0)[0]
    latent = {"samples": case.latent["samples"]}
    if case.kind == "sd1":
        case.run("PullbackBasis", levels, latent)
    case.run("sampler", levels, latent)
