"""Basis Compare: the core's distances, its plots and its report."""

import dataclasses
import math

import pytest
import torch
from node_calls import compare, refused


@pytest.mark.parametrize("space, side", [("features", "h"), ("latents", "x")])
def test_basis_compare_gives_the_cores_distances(call, comfy_host, family, monkeypatch, space, side):
    caught, figures, subspaces = [], comfy_host.core.figures, comfy_host.core.subspaces
    plain = figures.heat_map
    monkeypatch.setattr(figures, "heat_map", lambda *given: caught.append(given) or plain(*given))
    *images, distance, report = compare(call, [family.early, family.late, family.mirrored], space)
    [(matrix, rows, columns, *_)] = caught
    assert torch.equal(
        matrix, subspaces.distance_matrix([family.early, family.late, family.mirrored], side=side)
    )
    assert rows == columns == ["0.5 T", "0.7 T (1)", "0.7 T (2)"]
    assert (
        distance == pytest.approx(subspaces.geodesic_distance(family.early, family.late, side=side))
        and distance > 0.5
    )
    first, *ranks = report.splitlines()
    assert first == f"0.5 T and 0.7 T (1): distance {distance:.2f} of at most {math.pi / 2 * 3**0.5:.2f}"
    assert (
        ranks[0] == f"0.5 T: effective rank {comfy_host.core.spectra.effective_rank(family.early.s):.1f} of 3"
        and len(ranks) == 3
    )
    for image in images:
        assert image.shape[0] == 1 and image.shape[3] == 3 and image.std() > 0.02


def test_basis_compare_compares_with_others(call, comfy_host, family, monkeypatch):
    caught, figures, subspaces = [], comfy_host.core.figures, comfy_host.core.subspaces
    plain = figures.heat_map
    monkeypatch.setattr(figures, "heat_map", lambda *given: caught.append(given) or plain(*given))
    *_, distance, report = compare(call, [family.early], others=[family.late, family.mirrored])
    [(matrix, rows, columns, *_)] = caught
    assert matrix.shape == (1, 2) and rows == ["0.5 T"] and columns == ["0.7 T (1)", "0.7 T (2)"]
    assert (
        distance
        == matrix[0, 0].item()
        == pytest.approx(subspaces.geodesic_distance(family.early, family.late))
    )
    assert len(report.splitlines()) == 4
    assert compare(call, [family.late], others=[family.late])[3] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("count, pairs", [(3, 3), (5, 4)])
def test_with_many_pairs_the_angles_of_the_first_basis_are_drawn(
    call, comfy_host, family, monkeypatch, count, pairs
):
    caught, figures = [], comfy_host.core.figures
    plain = figures.angle_plot
    monkeypatch.setattr(
        figures, "angle_plot", lambda curves, *others: caught.append(curves) or plain(curves, *others)
    )
    compare(call, [family.early, *[family.late] * (count - 1)])
    assert len(caught[0]) == pairs and all(len(angles) == 3 for _, angles in caught[0])


def test_one_basis_alone_is_not_compared(call, tiny):
    with refused("at least two bases, got 1; connect the list of Basis Over Time"):
        compare(call, [tiny.basis])


def test_bases_of_unlike_features_or_latents_are_not_compared(call, tiny, face):
    for space in ("features", "latents"):
        with refused(f"differ in the shape of their {space} .* compare bases of one picture size"):
            compare(call, [tiny.basis, face.basis], space)
    other = dataclasses.replace(tiny.basis, provenance={**tiny.basis.provenance, "feature": "input_4"})
    with refused("of different blocks \\(input_4 and middle\\); compare them in the space 'latents'"):
        compare(call, [tiny.basis, other])
    assert compare(call, [tiny.basis, other], "latents")[3] == pytest.approx(0, abs=1e-3)
