"""Parallel Transport: the core's transport."""

import dataclasses

import pytest
import torch
from node_calls import BASIS_OPTIONS, STEPS, invert, refused


def test_transport_to_the_same_picture_carries_the_direction_unchanged(call, face):
    carried, alignment, report = call(
        "PullbackParallelTransport", source=face.basis, target=face.basis, direction=2, exact=False
    )
    assert alignment == pytest.approx(1, abs=1e-3) and report == "alignment 1.00"
    torch.testing.assert_close(carried.v[0], face.basis.v[1], rtol=0, atol=1e-3)
    assert carried.rank == 1


@pytest.mark.parametrize("exact", [False, True])
def test_the_transport_node_gives_the_cores_transport(call, comfy_host, face, exact):
    inverted, _, _ = invert(call, face, {"samples": face.clean["samples"].flip(3)}, steps=STEPS)
    (target,) = call(
        "PullbackBasis", **{**face.hosted, "latent": inverted}, sigmas=face.sigmas, rank=2, **BASIS_OPTIONS
    )
    carried, alignment, _ = call(
        "PullbackParallelTransport", source=face.basis, target=target, direction=1, exact=exact
    )
    direction, expected = comfy_host.core.parallel_transport(0, face.basis, target, exact=exact)
    assert alignment == expected and torch.equal(carried.v[0], direction)


def test_bases_of_two_models_are_not_carried_over(call, tiny, face):
    with refused("features of different shape"):
        call("PullbackParallelTransport", source=face.basis, target=tiny.basis, direction=1, exact=False)
    stranger = dataclasses.replace(tiny.basis, provenance={**tiny.basis.provenance, "model": "another"})
    with refused("differ in their model"):
        call("PullbackParallelTransport", source=stranger, target=tiny.basis, direction=1, exact=False)


def test_the_fitted_method_is_the_cores_and_says_in_words_how_well_it_carries(call, comfy_host, studio):
    latent, sigmas = studio.invert(studio.encode(studio.picture(3)), steps=4, timestep=0.5, refine=1)
    options = {"feature": "picture", "rotate": "one thing each", "keep": True, "rank": 4, "tolerance": 0.1}
    basis = studio.basis(latent, sigmas, **options)
    inputs = {"source": basis, "target": basis, "direction": 2, "exact": False}
    carried, alignment, report = call("PullbackParallelTransport", **inputs, method="fitted")
    expected = comfy_host.core.parallel_transport(1, basis, basis, method="fitted")
    assert torch.equal(carried.v[0], expected.direction) and alignment == expected.alignment
    assert report == f"alignment {alignment:.2f}: the direction carries over well"
    torch.testing.assert_close(carried.v[0], basis.v[1], rtol=0, atol=1e-4)
