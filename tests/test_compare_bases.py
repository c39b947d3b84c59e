"""Comparisons of bases whose distances are known."""

import math

import pytest
import torch

from pullback_core import PullbackBasis, compare_bases
from pullback_core.linalg import subspaces


def basis(angle, rank=1):
    """A basis whose first direction is turned by an angle, and the others are the same for all."""
    u = torch.eye(4, dtype=torch.float64)[:rank]
    u[0] = torch.tensor([math.cos(angle), 0.0, 0.0, math.sin(angle)])
    return PullbackBasis(
        v=u.view(rank, 1, 2, 2),
        s=torch.ones(rank, dtype=torch.float64),
        u=u,
        residuals=torch.zeros(rank),
        products=1,
        converged=True,
        sigma=1.0,
        timestep=0.5,
    )


@pytest.mark.parametrize("side", ["h", "x"])
def test_bases_are_compared_with_each_other(side):
    found = compare_bases([basis(0.0), basis(0.3), basis(1.0)], side=side)
    assert found.pairs == [(0, 1), (0, 2), (1, 2)]
    expected = torch.tensor([[0.0, 0.3, 1.0], [0.3, 0.0, 0.7], [1.0, 0.7, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found.distances, expected)
    assert [round(angles.item(), 6) for angles in found.angles] == [0.3, 1.0, 0.7]
    assert found.first_distance == pytest.approx(0.3)


def test_bases_are_compared_with_others():
    bases, others = [basis(0.0, 2), basis(0.1, 2)], [basis(0.2, 3)]
    found = compare_bases(bases, others)
    assert found.pairs == [(0, 2), (1, 2)] and found.distances.shape == (2, 1)
    assert found.first_distance == found.distances[0, 0].item()
    assert torch.equal(found.angles[0], subspaces.principal_angles(bases[0], others[0]))
    assert found.largest_distance == pytest.approx(math.pi / 2 * math.sqrt(2)), "of the smaller rank"


def test_with_many_pairs_the_angles_of_the_first_basis_are_enough():
    bases = [basis(0.1 * index) for index in range(5)]
    assert len(compare_bases(bases, max_pairs=10).pairs) == 10
    found = compare_bases(bases, max_pairs=9)
    assert found.pairs == [(0, 1), (0, 2), (0, 3), (0, 4)] and len(found.angles) == 4
    assert found.distances.shape == (5, 5)


def test_one_basis_alone_is_refused():
    with pytest.raises(ValueError, match="at least two bases, got 1"):
        compare_bases([basis(0.0)])
    with pytest.raises(ValueError, match="different dimension"):
        wide = torch.eye(6, dtype=torch.float64)[:1]
        compare_bases([basis(0.0), PullbackBasis(**{**vars(basis(0.0)), "u": wide})])
