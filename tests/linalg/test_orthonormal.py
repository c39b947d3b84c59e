"""Orthonormal rows, also of what is linearly dependent, tiny or zero."""

import pytest
import torch
from dense_operators import projector

from pullback_core.linalg.orthonormal import (
    orthonormal_mixture,
    orthonormal_rows,
    project_out,
    random_rows,
    unit_row,
)


def draw(count, size, seed=0, dtype=torch.float64):
    return random_rows(count, size, torch.Generator().manual_seed(seed), torch.empty(0, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_orthonormal_and_span_what_was_given(dtype):
    known = torch.linalg.qr(draw(2, 10).T)[0].T.to(dtype)
    block = draw(3, 10, seed=1, dtype=dtype)
    rows = orthonormal_rows(block, known, torch.Generator().manual_seed(0))
    together = torch.cat([known, rows])
    precision = 10 * torch.finfo(dtype).eps
    torch.testing.assert_close(together @ together.T, torch.eye(5, dtype=dtype), rtol=0, atol=precision)
    torch.testing.assert_close(block @ projector(together), block, rtol=0, atol=10 * precision)


@pytest.mark.parametrize("block", [torch.zeros(3, 6), torch.ones(3, 6), torch.eye(6)[:3]])
def test_rows_that_vanish_are_replaced(block):
    known = torch.eye(6)[:2]
    rows = torch.cat([known, orthonormal_rows(block, known, torch.Generator().manual_seed(0))])
    torch.testing.assert_close(rows @ rows.T, torch.eye(5), rtol=0, atol=1e-6)


@pytest.mark.parametrize("power", [-30, 0, 30])
def test_the_length_of_a_row_may_leave_the_range(power):
    row = torch.tensor([3.0, 4.0]) * 10.0**power
    torch.testing.assert_close(unit_row(row), torch.tensor([0.6, 0.8]))


def test_a_row_of_zeros_stays_zero():
    assert torch.equal(unit_row(torch.zeros(3)), torch.zeros(3))


def test_a_projection_leaves_what_is_orthogonal():
    assert torch.equal(
        project_out(torch.tensor([1.0, 2.0, 3.0]), torch.eye(3)[:2]), torch.tensor([0.0, 0.0, 3.0])
    )


def test_a_seed_means_the_same_vectors_in_every_precision():
    assert torch.equal(draw(2, 5, dtype=torch.float32), draw(2, 5).float())


def test_mixtures_of_rows_are_orthonormal_and_dependent_rows_are_left_out():
    rows = torch.randn(3, 8, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([rows, rows[:1] + rows[1:2]])
    orthonormal = orthonormal_mixture(rows).float() @ rows
    assert len(orthonormal) == 3
    torch.testing.assert_close(orthonormal @ orthonormal.T, torch.eye(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(rows @ orthonormal.T @ orthonormal, rows, rtol=0, atol=1e-4)
