"""Parallel transport between bases whose answer is known."""

import math
from dataclasses import replace

import pytest
import torch

from pullback_core import PullbackBasis, parallel_transport, transported_basis

X_SHAPE, H_SHAPE, RANK = (2, 3, 4), (5, 4), 3


def rows(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, count, generator=generator, dtype=torch.float64))[0].T


def basis(seed=0, u=None, s=(3.0, 2.0, 1.0), **provenance):
    u = rows(RANK, 20, seed + 100) if u is None else u
    return PullbackBasis(
        v=rows(RANK, 24, seed).view(RANK, *X_SHAPE),
        s=torch.tensor(s, dtype=torch.float64),
        u=u.view(RANK, *H_SHAPE),
        residuals=torch.zeros(RANK),
        products=0,
        converged=True,
        sigma=1.0,
        timestep=0.5,
        provenance=provenance,
    )


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("index", range(RANK))
def test_between_identical_bases_it_is_the_identity(index, exact):
    one = basis()
    for direction in (index, one.u[index], 7 * one.u[index].flatten()):
        carried = parallel_transport(direction, one, one, exact=exact)
        torch.testing.assert_close(carried.direction, one.v[index])
        assert carried.alignment == pytest.approx(1)


def test_alignment_is_the_cosine_of_a_known_angle():
    frame = rows(2 * RANK, 20, 5)
    angle = 0.7
    source = basis(0, u=frame[:RANK])
    target = basis(
        1, u=torch.stack([math.cos(angle) * frame[0] + math.sin(angle) * frame[3], frame[4], frame[5]])
    )
    for direction in (0, 0.1 * source.u[0], -5 * source.u[0]):
        carried = parallel_transport(direction, source, target)
        assert carried.alignment == pytest.approx(math.cos(angle))
        sign = -1 if isinstance(direction, torch.Tensor) and (direction * source.u[0]).sum() < 0 else 1
        torch.testing.assert_close(carried.direction, sign * target.v[0])


def test_alignment_never_exceeds_one():
    one = basis()
    assert parallel_transport(0, one, replace(one, u=one.u * (1 + 1e-6))).alignment == 1


def test_the_exact_form_survives_a_singular_value_of_zero():
    single = {name: getattr(basis(1, s=(3.0, 2.0, 0.0)), name).float() for name in ("v", "s", "u")}
    carried = parallel_transport(0, basis(0), replace(basis(1), **single), exact=True)
    assert carried.direction.norm().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("exact", [False, True])
def test_nothing_can_be_carried_to_an_orthogonal_space(exact):
    frame = torch.eye(20, dtype=torch.float64)
    with pytest.raises(ValueError, match="orthogonal to everything"):
        parallel_transport(0, basis(0, u=frame[:RANK]), basis(1, u=frame[RANK : 2 * RANK]), exact=exact)


def test_unknown_provenance_is_no_obstacle():
    assert parallel_transport(0, basis(model="a", feature="middle"), basis()).alignment == pytest.approx(1)


def test_the_exact_form_divides_by_the_singular_values():
    source, target = basis(0), basis(1)
    coordinates = target.u.flatten(1) @ source.u[1].flatten()
    for exact, weights in ((False, coordinates), (True, coordinates / target.s)):
        expected = (weights @ target.v.flatten(1)).view(X_SHAPE)
        torch.testing.assert_close(
            parallel_transport(1, source, target, exact=exact).direction, expected / expected.norm()
        )


def test_signs_of_the_target_pairs_do_not_matter():
    source, target = basis(0), basis(1)
    sign = torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64)
    flipped = replace(target, v=target.v * sign.view(-1, 1, 1, 1), u=target.u * sign.view(-1, 1, 1))
    torch.testing.assert_close(
        parallel_transport(0, source, flipped).direction, parallel_transport(0, source, target).direction
    )


def test_what_does_not_belong_together_is_refused():
    one, frame = basis(), rows(2 * RANK, 20, 5)
    apart = basis(0, u=frame[:RANK]), basis(1, u=frame[RANK:])
    assert parallel_transport(0, *apart).alignment < 1e-12
    small = replace(one, u=one.u[:, :, :2])
    for call, message in (
        (lambda: parallel_transport(0, one, small), "different shape"),
        (lambda: parallel_transport(0, basis(model="a"), basis(model="b")), r"model \(a and b\)"),
        (lambda: parallel_transport(0, basis(feature="middle"), basis(feature="input_3")), "feature"),
        (lambda: parallel_transport(3, one, one), "0 to 2, got 3"),
        (lambda: parallel_transport(torch.ones(7), one, one), "not of the features' shape"),
        (lambda: parallel_transport(torch.zeros(20), one, one), "zero"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


@pytest.mark.parametrize("exact", [False, True])
def test_a_transported_basis_says_what_the_target_does_to_the_direction(exact):
    """Against a dense Jacobian of which the target's basis is complete."""
    source, target = basis(0), basis(1)
    jacobian = torch.einsum("ip,i,iq->pq", target.u.flatten(1), target.s, target.v.flatten(1))
    carried, alignment = transported_basis(1, source, target, exact=exact)
    expected = parallel_transport(1, source, target, exact=exact)
    assert alignment == expected.alignment and torch.equal(carried.v[0], expected.direction)
    v, u, s = carried.v.flatten(), carried.u.flatten(), carried.s.item()
    torch.testing.assert_close(jacobian @ v, s * u)
    assert u.norm() == pytest.approx(1)
    assert carried.residuals.item() == pytest.approx(((jacobian.T @ u - s * v).norm() / target.s[0]).item())
    assert carried.sigma == target.sigma and carried.rank == 1


def test_a_transported_basis_between_identical_ones_is_a_singular_triplet():
    carried, alignment = transported_basis(2, basis(), basis())
    assert (
        alignment == pytest.approx(1)
        and carried.s.item() == pytest.approx(1.0)
        and carried.residuals.item() < 1e-12
    )
