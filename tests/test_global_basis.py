"""Global bases of families whose mean is known."""

import math
from dataclasses import replace

import pytest
import torch

from pullback_core import PullbackBasis, global_basis, parallel_transport
from pullback_core.directions.sums import weighted_sums
from pullback_core.linalg import subspaces

X_SHAPE, H_SHAPE, RANK = (2, 3, 4), (5, 4), 3


def rows(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, count, generator=generator, dtype=torch.float64))[0].T


def basis(v, u, s=(3.0, 2.0, 1.0), sigma=1.0, **provenance):
    return PullbackBasis(
        v=v.reshape(-1, *X_SHAPE),
        s=torch.tensor(s, dtype=torch.float64),
        u=u.reshape(-1, *H_SHAPE),
        residuals=torch.zeros(len(s)),
        products=10,
        converged=True,
        sigma=sigma,
        timestep=0.5,
        provenance=provenance,
    )


def family(angles=(0.4, -0.4, 0.1, -0.1), s=(3.0, 2.0, 1.0)):
    """Bases turned by opposite angles about one centre, in both spaces; and that centre."""
    v, u = rows(2 * RANK, 24, 0), rows(2 * RANK, 20, 1)
    turned = lambda frame, angle: frame[:RANK] * math.cos(angle) + frame[RANK:] * math.sin(angle)
    return [basis(turned(v, angle), turned(u, angle), s) for angle in angles], basis(v[:RANK], u[:RANK], s)


@pytest.mark.parametrize("method", ["frechet", "matched"])
def test_one_basis_is_its_own_mean(method):
    one = family()[1]
    mean = global_basis([one, one], method)
    torch.testing.assert_close(
        (mean.u * one.u).flatten(1).sum(dim=1).abs(), torch.ones(RANK, dtype=torch.float64)
    )
    torch.testing.assert_close(mean.s, one.s)
    assert mean.residuals.max() < 1e-6 and mean.products == 20
    assert mean.provenance["mean"] == f"{method} of 2"


@pytest.mark.parametrize("method", ["frechet", "matched"])
def test_the_mean_of_a_symmetric_family_is_its_centre(method):
    bases, centre = family()
    mean = global_basis(bases, method)
    assert (
        subspaces.geodesic_distance(mean, centre) < 1e-6
        and subspaces.geodesic_distance(mean, centre, side="x") < 1e-6
    )
    assert [(mean.v[i] * centre.v[i]).sum().abs().item() for i in range(RANK)] == pytest.approx([1] * RANK)
    assert (mean.s.diff() < 0).all() and 0.05 < mean.residuals.max() < 0.6
    assert (mean.u.flatten(1) @ mean.u.flatten(1).T - torch.eye(RANK)).abs().max() < 1e-9


def test_matching_undoes_another_order_and_other_signs():
    bases, centre = family(s=(3.0, 2.9, 2.8))
    order, sign = torch.tensor([2, 0, 1]), torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64).view(-1, 1)
    shuffled = basis(
        (sign * bases[1].v[order].flatten(1)), (sign * bases[1].u[order].flatten(1)), s=(3.0, 2.9, 2.8)
    )
    mean = global_basis([bases[0], shuffled, *bases[2:]], "matched")
    inner = (mean.v.flatten(1) @ centre.v.flatten(1).T).abs()
    torch.testing.assert_close(inner.max(dim=1).values, torch.ones(RANK, dtype=torch.float64))


def test_a_global_direction_projects_onto_a_local_tangent_space():
    bases, _ = family()
    carried = parallel_transport(0, global_basis(bases), bases[0])
    assert carried.alignment == pytest.approx(math.cos(0.4), abs=1e-6)
    torch.testing.assert_close(carried.direction.abs(), bases[0].v[0].abs())


def test_a_mean_is_saved_and_loaded(tmp_path):
    mean = global_basis(family()[0])
    mean.save(tmp_path / "mean.safetensors")
    loaded = PullbackBasis.load(tmp_path / "mean.safetensors")
    assert torch.equal(loaded.v, mean.v) and loaded.provenance == mean.provenance


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda one: [], "at least one"),
        (lambda one: [one, replace(one, sigma=2.0)], "noise levels"),
        (lambda one: [one, replace(one, v=one.v[:2], u=one.u[:2], s=one.s[:2])], "rank or size"),
        (
            lambda one: [replace(one, provenance={"model": "a"}), replace(one, provenance={"model": "b"})],
            "model",
        ),
    ],
)
def test_bases_that_do_not_belong_together_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        global_basis(change(family()[1]))


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="frechet, matched"):
        global_basis(family()[0], "median")


def rotated(one):
    """The same span, turned so that neither v nor the order is what a search finds."""
    turn = rows(RANK, RANK, 9)
    return weighted_sums(one, turn, "rotated")


@pytest.mark.parametrize("kind", ["singular", "rotated"])
def test_the_mean_of_one_basis_twice_keeps_its_kind(kind):
    one = family()[1] if kind == "singular" else rotated(family()[1])
    mean = global_basis([one, one], "matched")
    assert mean.kind == kind and mean.residuals.max() < 1e-9
    torch.testing.assert_close(mean.s, one.s)
    torch.testing.assert_close(mean.v, one.v)
    torch.testing.assert_close(mean.u, one.u)


def test_rotated_bases_are_matched_one_by_one():
    one = rotated(family()[1])
    order, sign = [2, 0, 1], torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    shuffled = replace(
        one,
        v=sign.view(-1, 1, 1, 1) * one.v[order],
        u=sign.view(-1, 1, 1) * one.u[order],
        s=one.s[order],
    )
    mean = global_basis([one, shuffled], "matched")
    torch.testing.assert_close(mean.v, one.v)
    torch.testing.assert_close(mean.s, one.s)


def test_the_frechet_mean_of_rotated_bases_is_that_of_their_spans():
    bases, centre = family()
    mean = global_basis([rotated(one) for one in bases])
    assert mean.kind == "singular" and subspaces.geodesic_distance(mean, centre) < 1e-6
    torch.testing.assert_close(mean.s, global_basis(bases).s)


def test_the_mean_predicts_the_mean_picture():
    bases = family()[0][:2]
    known = [replace(one, predicted=torch.full(X_SHAPE, value)) for one, value in zip(bases, (1.0, 3.0))]
    assert torch.equal(global_basis(known).predicted, torch.full(X_SHAPE, 2.0))
    assert global_basis([known[0], bases[1]]).predicted is None


def test_bases_of_two_kinds_are_refused():
    one = family()[1]
    with pytest.raises(ValueError, match="different kinds, 'singular' and 'rotated'"):
        global_basis([one, rotated(one)])
