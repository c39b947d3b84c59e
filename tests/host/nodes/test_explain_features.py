"""Explain Features on tiny models: the blocks that it names, its report, and what the page gets."""

import comfy.model_management
import pytest
import torch
from tiny_families import FLOWS
from tiny_models import conditioning_for, latent_for, tiny_model

FAMILIES = ("flux", "sd3", "qwen", "lumina2", "hidream", "anima")
FIRST_BLOCKS = {kind: FLOWS[kind].features[0] for kind in FAMILIES if kind in FLOWS}
KINDS = {"sd1": "input_0", "sdxl": "input_0"} | FIRST_BLOCKS
OPTIONS = {"features": "", "rank": 2, "precision": "as the model"}


@pytest.fixture(scope="module", params=KINDS)
def case(request, comfy_host):
    """Inputs of a node that takes a noisy latent, and the first of the model's blocks."""
    model = tiny_model(request.param)
    return KINDS[request.param], {
        "model": model,
        "conditioning": conditioning_for(request.param),
        "latent": latent_for(model, seed=3),
        "sigmas": comfy_host.adapter.schedule_of(model).sigmas(2, start=0.7),
    }


def run(comfy_host, **inputs):
    with torch.inference_mode():
        return comfy_host.nodes["PullbackExplainFeatures"].execute(**{**OPTIONS, **inputs})


def test_without_names_the_depth_is_spread_over_and_the_default_is_there(comfy_host, case):
    first, inputs = case
    known = comfy_host.adapter.features_of(inputs["model"])
    output = run(comfy_host, **inputs)
    report, decay, names = output.args
    assert set(names) <= set(known) and names == sorted(names, key=known.index) and len(names) <= 9
    assert names[-1] == "picture" and first in names
    assert comfy_host.adapter.feature_named(inputs["model"], "middle") in names
    assert [line.split()[0] for line in report.split("\n\n")[0].splitlines()[1:]] == names
    assert decay.shape[0] == 1 and decay.shape[-1] == 3 and decay.std() > 0.05
    assert (
        output.ui["pullback_features"] == known
        and len(output.ui["images"]) == 1
        and output.ui["pullback_report"] == [report]
    )


def test_a_report_says_what_a_basis_of_that_block_is(comfy_host, call, case):
    first, inputs = case
    report, _, names = run(comfy_host, **inputs, features=f" {first},middle, {first}").args
    assert names == list(dict.fromkeys([first, comfy_host.adapter.feature_named(inputs["model"], "middle")]))
    for line, name in zip(report.splitlines()[1:], names):
        (basis,) = call(
            "PullbackBasis", **inputs, rank=2, tolerance=0.05, seed=0, feature=name, precision="as the model"
        )
        block, shape, strongest = line.split()[:3]
        assert (block, shape) == (name, "x".join(map(str, basis.u.shape[1:])))
        assert float(strongest) == pytest.approx(float(basis.s[0]), rel=0.02)
        assert basis.provenance["feature"] == name


def test_memory_is_asked_for_the_deepest_of_the_features(comfy_host, case, monkeypatch):
    asked = []
    monkeypatch.setattr(
        comfy_host.adapter.session,
        "request_product_memory",
        lambda model, feature, prompts: asked.append(feature),
    )
    first, inputs = case
    run(comfy_host, **inputs, features=f"{first}, picture, middle", rank=1)
    assert asked == ["picture"]


def test_a_name_that_the_model_lacks_is_refused_with_those_it_has(comfy_host, case):
    first, inputs = case
    with pytest.raises(ValueError, match=rf"'nothing'.*{first}") as error:
        run(comfy_host, **inputs, features=f"{first}, nothing")
    assert len(str(error.value).splitlines()) == 1


def test_nodes_with_a_feature_tell_the_page_what_the_model_has(comfy_host, case):
    _, inputs = case
    with torch.inference_mode():
        output = comfy_host.nodes["PullbackBasis"].execute(
            **inputs, rank=1, tolerance=0.4, seed=0, feature="middle", precision="as the model"
        )
    assert output.ui["pullback_features"] == comfy_host.adapter.features_of(inputs["model"])
    [told] = output.ui["pullback_text"]
    assert "residual" in told and "products" in told


def test_a_block_that_cannot_be_differentiated_is_named_beside_the_others(comfy_host, case, monkeypatch):
    first, inputs = case
    check = comfy_host.adapter.check.check_derivatives
    default = comfy_host.adapter.feature_named(inputs["model"], "middle")

    def failing(denoiser, noisy):
        if denoiser.feature == default:
            raise ValueError("It has no derivative here.")
        return check(denoiser, noisy)

    monkeypatch.setattr(comfy_host.adapter.check, "check_derivatives", failing)
    report, _, names = run(comfy_host, **inputs, features=f"middle, {first}").args
    assert names == [first] and report.splitlines()[-1] == f"{default}: It has no derivative here."
    with pytest.raises(ValueError, match="no derivative here"):
        run(comfy_host, **inputs, features=default)


def test_it_can_be_cancelled(comfy_host, case, monkeypatch):
    first, inputs = case

    class Cancelled(Exception):
        pass

    calls = []

    def cancel():
        calls.append(1)
        if len(calls) > 4:
            raise Cancelled

    monkeypatch.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", cancel)
    with pytest.raises(Cancelled):
        run(comfy_host, **inputs, features=first)
