"""Mix Directions: the core's mixtures, and bases that are not connected."""

import torch
from node_calls import edit, refused


def test_the_mixture_is_the_cores(call, comfy_host, tiny):
    mixture, report = call(
        "PullbackMixDirections",
        basis_1=tiny.basis,
        direction_1=2,
        weight_1=1.0,
        basis_3=tiny.basis,
        direction_3=3,
        weight_3=-0.5,
    )
    parts = [(tiny.basis.select([1]), 1.0), (tiny.basis.select([2]), -0.5)]
    expected = comfy_host.core.directions.mixing.mix(parts)
    assert torch.equal(mixture.v, expected.v) and mixture.names == expected.names
    assert report.startswith("unnamed - 0.5 unnamed: response ")
    assert edit(call, {**tiny.inputs, "basis": mixture})["samples"].isfinite().all()


def test_directions_are_kept(call, tiny):
    mixture, _ = call(
        "PullbackMixDirections",
        basis_1=tiny.basis,
        direction_1=1,
        weight_1=1.0,
        basis_2=tiny.basis,
        direction_2=2,
        weight_2=0.5,
        orthogonal_to=tiny.basis.select([1]),
        name=" first alone ",
    )
    assert mixture.names == ["first alone"]
    torch.testing.assert_close(mixture.v, tiny.basis.v[:1], rtol=1e-3, atol=1e-4)


def test_nothing_to_mix_is_refused(call, tiny):
    with refused("Nothing is connected"):
        call("PullbackMixDirections", direction_1=1, weight_1=1.0)
    with refused("directions 1 to 3, got 4"):
        call("PullbackMixDirections", basis_1=tiny.basis, direction_1=4, weight_1=1.0)
