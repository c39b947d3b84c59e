"""Stacked Jacobians against the dense stack of their matrices."""

import math

import pytest
import torch

from pullback_core import Jacobian, adjoint_error, top_singular_triplets
from pullback_core.linalg.stacked import StackedJacobians

WEIGHT = torch.randn(5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def function(x):
    return torch.tanh(x.flatten(1) @ WEIGHT.T)


def points(count):
    return torch.randn(count, 2, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def dense(x):
    return (1 - function(x[None])[0] ** 2)[:, None] * WEIGHT


@pytest.mark.parametrize("forget", [False, True])
def test_products_and_singular_values_are_those_of_the_dense_stack(forget):
    stack = StackedJacobians([Jacobian(function, x) for x in points(3)], forget=forget)
    matrix = torch.cat([dense(x) for x in points(3)]) / math.sqrt(3)
    v = torch.randn(2, 2, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    torch.testing.assert_close(stack.jvp(v).flatten(1), v.flatten(1) @ matrix.T)
    assert adjoint_error(stack) < 1e-12
    assert stack.products == 3 * 4
    found = top_singular_triplets(stack, 3, tolerance=1e-8)
    torch.testing.assert_close(found.s, torch.linalg.svdvals(matrix)[:3])


def test_forgotten_graphs_are_freed():
    stack = StackedJacobians([Jacobian(function, x) for x in points(2)], forget=True)
    stack.jvp(points(1))
    assert all(jacobian._graphs is None for jacobian in stack.jacobians)


def test_shapes_must_agree():
    other = Jacobian(lambda x: x, torch.zeros(3))
    with pytest.raises(ValueError, match=r"must have one shape, got \[\(2, 4\), \(3,\)\]"):
        StackedJacobians([Jacobian(function, points(1)[0]), other])
    with pytest.raises(ValueError, match="must have one shape"):
        StackedJacobians([])
