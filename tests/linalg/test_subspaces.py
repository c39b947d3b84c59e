"""Angles, distances and means of subspaces with known values."""

import math

import pytest
import torch
from scipy.linalg import subspace_angles

from pullback_core import PullbackBasis
from pullback_core.linalg import subspaces


def rows(count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, count, generator=generator, dtype=torch.float64))[0].T


def tilted(angles, size=20, seed=0):
    """Two subspaces with the given principal angles."""
    frame = rows(2 * len(angles), size, seed)
    angles = torch.tensor(angles, dtype=torch.float64)[:, None]
    a, normal = frame[: len(angles)], frame[len(angles) :]
    return a, a * angles.cos() + normal * angles.sin()


def turn(subspace, seed=3):
    return rows(len(subspace), len(subspace), seed) @ subspace


@pytest.mark.parametrize(
    "angles",
    [[0.3], [0.0, 0.5, 1.2], [1e-9, 1e-4, math.pi / 2], [0.0, 0.0], [math.pi / 4, math.pi / 4 + 1e-7]],
)
def test_prescribed_angles_are_found_whatever_the_basis(angles):
    a, b = tilted(angles)
    expected = torch.tensor(angles, dtype=torch.float64)
    torch.testing.assert_close(
        subspaces.principal_angles(turn(a), turn(b, 4)),
        expected,
        rtol=1e-6,
        atol=1e-14 if min(angles) else 3e-15,
    )
    assert subspaces.geodesic_distance(a, turn(b)) == pytest.approx(expected.norm().item(), abs=1e-12)


@pytest.mark.parametrize("count_a, count_b", [(3, 3), (2, 5), (5, 2)])
def test_angles_agree_with_scipy(count_a, count_b):
    a, b = rows(count_a, 20, 1), rows(count_b, 20, 2)
    expected = torch.from_numpy(subspace_angles(a.T.numpy(), b.T.numpy()).copy()).flip(0)
    torch.testing.assert_close(subspaces.principal_angles(a, b), expected, rtol=0, atol=1e-12)
    assert subspaces.geodesic_distance(a, b) == pytest.approx(subspaces.geodesic_distance(b, a))


def test_distance_matrices_agree_with_scipy():
    bases = [rows(3, 20, seed) for seed in range(4)]
    expected = torch.tensor(
        [[float((subspace_angles(a.T.numpy(), b.T.numpy()) ** 2).sum() ** 0.5) for b in bases] for a in bases]
    )
    matrix = subspaces.distance_matrix(bases)
    torch.testing.assert_close(matrix, expected.double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(subspaces.distance_matrix(bases, bases[1:]), matrix[:, 1:], rtol=0, atol=1e-7)


def test_the_side_says_which_rows_of_a_basis_are_meant():
    a, b = (
        PullbackBasis(
            v=rows(2, 24, seed).view(2, 2, 3, 4),
            s=torch.ones(2),
            u=rows(2, 20, 9),
            residuals=torch.zeros(2),
            products=0,
            converged=True,
            sigma=1.0,
            timestep=0.5,
        )
        for seed in (0, 1)
    )
    assert subspaces.geodesic_distance(a, b) < 1e-7
    expected = subspaces.geodesic_distance(a.v, b.v)
    assert subspaces.geodesic_distance(a, b, side="x") == expected > 1
    with pytest.raises(ValueError, match="'h'"):
        subspaces.geodesic_distance(a, b, side="y")


def test_the_mean_of_two_lies_halfway():
    a, b = tilted([0.2, 0.5, 0.7])
    mean = subspaces.frechet_mean([a, b])
    for end in (a, b):
        torch.testing.assert_close(
            subspaces.principal_angles(mean, end), torch.tensor([0.1, 0.25, 0.35], dtype=torch.float64)
        )


def test_the_mean_of_symmetric_neighbours_is_their_centre():
    frame = rows(4, 20, 0)
    centre, normal = frame[:2], frame[2:]
    around = [
        centre * math.cos(angle) + sign * normal * math.sin(angle) for angle in (0.2, 0.6) for sign in (1, -1)
    ]
    mean = subspaces.frechet_mean([turn(one, seed) for seed, one in enumerate(around)])
    assert subspaces.geodesic_distance(mean, centre) < 1e-7
    torch.testing.assert_close(mean @ mean.T, torch.eye(2, dtype=torch.float64))


@pytest.mark.parametrize("count", [1, 4])
def test_equal_subspaces_are_their_own_mean(count):
    mean = subspaces.frechet_mean([turn(rows(3, 20, 0), seed) for seed in range(count)])
    assert subspaces.geodesic_distance(mean, rows(3, 20, 0)) < 1e-12


def test_of_a_basis_the_feature_directions_are_meant():
    def as_basis(u, seed):
        return PullbackBasis(
            v=rows(2, 24, seed).view(2, 2, 3, 4),
            s=torch.ones(2),
            u=u.view(2, 5, 4),
            residuals=torch.zeros(2),
            products=0,
            converged=True,
            sigma=1.0,
            timestep=0.5,
        )

    a, b = tilted([0.2, 0.5])
    one, other = as_basis(a, 1), as_basis(b, 2)
    torch.testing.assert_close(
        subspaces.principal_angles(one, other), torch.tensor([0.2, 0.5], dtype=torch.float64)
    )
    assert subspaces.geodesic_distance(subspaces.frechet_mean([one, other]), a) == pytest.approx(
        math.hypot(0.1, 0.25)
    )


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: subspaces.principal_angles(rows(2, 20, 0), rows(2, 21, 0)), "20 and 21"),
        (lambda: subspaces.principal_angles(torch.ones(3), torch.ones(3)), "rows"),
        (lambda: subspaces.frechet_mean([]), "no bases"),
        (lambda: subspaces.frechet_mean([rows(2, 20, 0), rows(3, 20, 0)]), "one shape"),
        (lambda: subspaces.frechet_mean(list(tilted([math.pi / 2]))), "orthogonal"),
        (
            lambda: subspaces.frechet_mean([rows(2, 6, seed) for seed in range(3)], max_steps=1),
            "1 steps.*too far apart",
        ),
    ],
)
def test_meaningless_requests_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_rows_of_a_subspace_need_not_be_orthonormal():
    rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(3))
    other = torch.linalg.qr(torch.randn(8, 3, generator=torch.Generator().manual_seed(4)))[0].T
    orthonormal = torch.linalg.qr(rows.T)[0].T
    expected = subspaces.principal_angles(orthonormal, other)
    torch.testing.assert_close(subspaces.principal_angles(rows, other), expected, rtol=1e-5, atol=1e-5)
    assert subspaces.geodesic_distance(rows, orthonormal) < 1e-5
    with pytest.raises(ValueError, match="depend linearly"):
        subspaces.principal_angles(torch.cat([rows, rows[:1]]), other)
