"""Global Basis: the core's mean, which edits and carries as any basis."""

import dataclasses

import pytest
import torch
from node_calls import edit, equal_bases, refused


@pytest.mark.parametrize("method", ["matched", "frechet"])
def test_the_global_basis_node_gives_the_cores_mean(call, comfy_host, family, method):
    bases = [family.late, family.mirrored] if method == "matched" else [family.late, family.late]
    mean, report = call("PullbackGlobalBasis", bases=bases, method=[method])
    expected = comfy_host.core.global_basis(bases, method)
    assert equal_bases(mean, expected) and mean.provenance == expected.provenance
    misfits = ", ".join(f"{misfit:.2f}" for misfit in expected.residuals)
    assert report == f"{method} of 2 bases; misfit of the first directions: {misfits}"


def test_a_global_basis_edits_and_carries_as_any_other(call, face, family):
    mean, _ = call("PullbackGlobalBasis", bases=[family.late, family.mirrored], method=["matched"])
    carried, alignment, _ = call(
        "PullbackParallelTransport", source=mean, target=family.late, direction=1, exact=False
    )
    assert 0.3 < alignment <= 1
    plain, projected = (edit(call, {**face.hosted, "basis": basis})["samples"] for basis in (mean, carried))
    for one, other in (
        (plain, face.latent["samples"]),
        (projected, face.latent["samples"]),
        (plain, projected),
    ):
        assert (one - other).abs().max() > 0.05


def test_bases_that_do_not_belong_together_have_no_mean(call, tiny, face, family):
    for bases, sentence in (
        ([tiny.basis, face.basis], "differ in rank or size"),
        ([family.early, family.late], "different noise levels"),
    ):
        with refused(sentence):
            call("PullbackGlobalBasis", bases=bases, method=["matched"])
    size = tiny.basis.u[0].numel()
    orthogonal = [
        dataclasses.replace(tiny.basis, u=part.view_as(tiny.basis.u)) for part in torch.eye(size)[:6].split(3)
    ]
    with refused("no Frechet mean; use the method 'matched'"):
        call("PullbackGlobalBasis", bases=orthogonal, method=["frechet"])


def test_turned_bases_of_the_picture_have_a_turned_mean(call, comfy_host, studio):
    bases = []
    for number in (3, 5):
        latent, sigmas = studio.invert(studio.encode(studio.picture(number)), steps=4, timestep=0.5, refine=1)
        bases.append(
            studio.basis(latent, sigmas, feature="picture", rotate="one thing each", rank=4, tolerance=0.1)
        )
    mean, report = call("PullbackGlobalBasis", bases=bases, method=["matched"])
    expected = comfy_host.core.global_basis(bases, "matched")
    assert mean.kind == "rotated" and equal_bases(mean, expected) and "matched of 2 bases" in report
    _, alignment, _ = call(
        "PullbackParallelTransport",
        source=mean,
        target=bases[0],
        direction=1,
        exact=False,
        method="fitted",
    )
    assert 0 < alignment <= 1
