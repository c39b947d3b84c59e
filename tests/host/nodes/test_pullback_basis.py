"""Pullback Basis: the core's basis, and what ComfyUI's own forward pass says of it."""

import re
import sys

import pytest
import torch
from node_calls import BASIS_OPTIONS, TIMESTEP, edit, equal_bases, refused
from tiny_models import KINDS, observed, patched, tiny_conditioning, tiny_latent, tiny_model


def test_the_basis_node_gives_the_cores_basis(comfy_host, face, alone):
    assert comfy_host.core.subspaces.principal_angles(face.basis.v, alone.basis.v).max() < 0.01
    torch.testing.assert_close(face.basis.s, alone.basis.s, rtol=1e-3, atol=0)
    assert face.basis.sigma == pytest.approx(alone.noisy.sigma) and face.basis.timestep == pytest.approx(
        TIMESTEP, abs=1e-3
    )
    assert face.basis.provenance["model"] == alone.basis.provenance["model"], (
        "a basis of the command line is of no use here"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_basis_node_finds_what_the_hosts_forward_does(call, comfy_host, kind):
    """A step along v_1 changes h by s_1 u_1, in double precision and without the adapter."""
    model, conditioning = tiny_model(kind), tiny_conditioning()
    hosted = {"model": model, "conditioning": conditioning, "latent": tiny_latent(seed=3)}
    sigmas = comfy_host.adapter.schedule_of(model).sigmas(2, start=0.7)
    (basis,) = call("PullbackBasis", **hosted, sigmas=sigmas, rank=2, **{**BASIS_OPTIONS, "tolerance": 1e-3})
    double, sigma, step = tiny_model(kind, dtype=torch.float64), float(sigmas[0]), 1e-5
    x = model.model.process_latent_in(hosted["latent"]["samples"]).double()
    along = (1 + sigma**2) ** 0.5 * basis.v[:1].double()
    ahead, behind = (
        observed(double, "middle", conditioning, x + sign * step * along, sigma) for sign in (1, -1)
    )
    torch.testing.assert_close(
        (ahead - behind) / (2 * step), (basis.s[0] * basis.u[:1]).double(), rtol=1e-3, atol=1e-3
    )
    assert basis.s[0] > basis.s[1] > 0


def test_the_same_inputs_give_the_same_bits(call, tiny):
    again = call("PullbackBasis", **tiny.hosted, sigmas=tiny.sigmas, rank=3, **BASIS_OPTIONS)[0]
    assert equal_bases(again, tiny.basis)
    assert torch.equal(
        edit(call, tiny.inputs, strengths=3)["samples"], edit(call, tiny.inputs, strengths=3)["samples"]
    )


def test_another_seed_finds_the_same_direction_to_the_tolerance(call, comfy_host, tiny):
    one, other = (
        call(
            "PullbackBasis",
            **tiny.hosted,
            sigmas=tiny.sigmas,
            rank=1,
            **{**BASIS_OPTIONS, "tolerance": 1e-3, "seed": seed},
        )[0]
        for seed in (5, 6)
    )
    assert not torch.equal(one.v, other.v)
    assert comfy_host.core.subspaces.principal_angles(one.v, other.v).max() < 0.05


def test_a_patched_model_has_another_basis_and_says_so(call, comfy_host, tiny):
    hosted = {**tiny.hosted, "model": patched(tiny.model)}
    (basis,) = call("PullbackBasis", **hosted, sigmas=tiny.sigmas, rank=3, **BASIS_OPTIONS)
    assert comfy_host.core.subspaces.principal_angles(basis.v, tiny.basis.v).max() > 0.05
    assert basis.provenance["model"] != tiny.basis.provenance["model"]
    assert basis.provenance["prompt"] == tiny.basis.provenance["prompt"]


@pytest.mark.parametrize("feature", ["output_3", "bottleneck", "", "input_-1", "Middle"])
def test_unknown_features_are_refused_with_the_known_ones(call, tiny, feature):
    with refused(
        "no block named .* choose middle, picture or one of input_0, .*, output_0, output_1, output_2"
    ):
        call(
            "PullbackBasis",
            **tiny.hosted,
            sigmas=tiny.sigmas,
            rank=1,
            **{**BASIS_OPTIONS, "feature": feature},
        )


def test_a_latent_of_zeros_has_no_basis(call, tiny):
    with refused("all zeros"):
        call(
            "PullbackBasis",
            **{**tiny.hosted, "latent": {"samples": torch.zeros(1, 4, 8, 8)}},
            sigmas=tiny.sigmas,
            rank=1,
            **BASIS_OPTIONS,
        )


def test_the_node_says_when_half_precision_matters(comfy_host, call, tiny, monkeypatch):
    said = []
    monkeypatch.setattr(comfy_host.adapter, "show_status", lambda node, text: said.append(text))
    monkeypatch.setattr(sys.modules[comfy_host.nodes["PullbackBasis"].__module__], "INEXACT", 0.005)
    inputs = {**tiny.hosted, "model": tiny_model(dtype=torch.bfloat16), "sigmas": tiny.sigmas, "rank": 1}
    call("PullbackBasis", **inputs, **BASIS_OPTIONS)
    assert re.search(r"in bfloat16 they differ by [1-9]\d?% from those in float32, see precision", said[-1])
    call("PullbackBasis", **inputs, **{**BASIS_OPTIONS, "precision": "float32"})
    assert "differ by" not in said[-1]


def test_an_average_is_over_the_noises_of_the_clean_picture(call, comfy_host, face, alone):
    averaging = comfy_host.core.directions.averaging
    several = averaging.renoised(alone.noisy, alone.x0, alone.denoiser.schedule, 2, seed=0)
    expected = averaging.averaged_basis(alone.denoiser, several, 2, tolerance=0.05)
    hosted = {"model": face.model, "conditioning": face.conditioning, "latent": face.latent}
    (basis,) = call("PullbackBasis", **hosted, sigmas=face.sigmas, rank=2, **BASIS_OPTIONS, average=2)
    assert basis.kind == "averaged" and basis.provenance["mean"] == "2 latents"
    torch.testing.assert_close(basis.s, expected.s, rtol=1e-2, atol=0)
    assert comfy_host.core.subspaces.principal_angles(basis.v, expected.v).max() < 0.05


def test_an_average_needs_the_clean_picture(call, tiny):
    unknown = {**tiny.hosted, "latent": {"samples": tiny.latent["samples"]}}
    with refused("The clean picture of this latent is unknown"):
        call("PullbackBasis", **unknown, sigmas=tiny.sigmas, rank=1, **BASIS_OPTIONS, average=2)


def test_the_search_is_kept_on_demand(call, tiny):
    (basis,) = call("PullbackBasis", **tiny.hosted, sigmas=tiny.sigmas, rank=3, **BASIS_OPTIONS, keep=True)
    assert tiny.basis.search_space is None and equal_bases(basis, tiny.basis)
    vectors, products = basis.known_products()
    assert len(vectors) > 3 and products.shape[1:] == basis.u.shape[1:]


@pytest.mark.parametrize("feature", ["picture", "middle"])
def test_directions_are_rotated_by_what_they_do_to_the_picture(call, comfy_host, tiny, feature):
    options = {**BASIS_OPTIONS, "tolerance": 1e-3, "feature": feature, "precision": "float32"}
    inputs = {**tiny.hosted, "sigmas": tiny.sigmas, "rank": 3, **options}
    (plain,), (turned,) = (
        call("PullbackBasis", **inputs),
        call("PullbackBasis", **inputs, rotate="one thing each"),
    )
    assert turned.kind == "rotated" and turned.provenance == plain.provenance
    assert comfy_host.core.subspaces.principal_angles(turned.v, plain.v).max() < 1e-3, "the span is the same"
    changes = turned.picture_changes().flatten(1)
    changes = changes / changes.norm(dim=1, keepdim=True)
    torch.testing.assert_close(changes @ changes.T, torch.eye(3), rtol=0, atol=1e-3)
    assert (changes.pow(3).sum(dim=1) >= 0).all()
