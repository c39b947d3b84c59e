"""An operator with weights, against its matrix."""

import torch

from pullback_core.linalg.check import adjoint_error
from pullback_core.linalg.jacobian import Jacobian
from pullback_core.linalg.weighted_operator import WeightedOperator


def test_it_is_the_matrix_with_weighted_rows():
    generator = torch.Generator().manual_seed(0)
    matrix, weights = torch.randn(6, 4, generator=generator), torch.rand(2, 3, generator=generator)
    jacobian = Jacobian(lambda x: (x @ matrix.T).view(-1, 2, 3), torch.zeros(4))
    operator = WeightedOperator(jacobian, weights)
    weighted = weights.flatten()[:, None] * matrix
    v, u = torch.randn(5, 4, generator=generator), torch.randn(5, 2, 3, generator=generator)
    torch.testing.assert_close(operator.jvp(v).flatten(1), v @ weighted.T)
    torch.testing.assert_close(operator.vjp(u), u.flatten(1) @ weighted)
    assert (operator.in_shape, operator.out_shape) == ((4,), (2, 3))
    assert adjoint_error(operator) < 1e-5
