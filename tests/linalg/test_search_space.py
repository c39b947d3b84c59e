"""A search goes on from the search space of another one."""

import pytest
import torch
from dense_operators import DenseOperator, dense_matrix, largest_error

from pullback_core import top_singular_triplets


def test_a_search_space_goes_on_where_the_search_ended():
    operator = DenseOperator(dense_matrix(200, 300, [0.95**i for i in range(150)]))
    whole = top_singular_triplets(operator, 16)
    part = top_singular_triplets(operator, 8)
    spent = operator.products
    rest = top_singular_triplets(operator, 16, search_space=part.search_space)
    assert operator.products - spent == rest.products  # the one that compares operators is counted
    assert rest.converged and rest.products < whole.products
    torch.testing.assert_close(rest.s, whole.s, rtol=0, atol=1e-2)
    finer = top_singular_triplets(operator, 8, tolerance=1e-6, search_space=part.search_space)
    assert finer.converged and finer.residuals.max() <= 1e-6
    assert finer.products < top_singular_triplets(operator, 8, tolerance=1e-6).products


def test_a_search_space_of_another_operator_costs_one_product_and_changes_nothing():
    values = [0.95**i for i in range(150)]
    dense = dense_matrix(200, 300, values)
    other = DenseOperator(dense + 0.02 * dense_matrix(200, 300, values, seed=1))
    space = top_singular_triplets(DenseOperator(dense), 8).search_space
    with_it, without = top_singular_triplets(other, 8, search_space=space), top_singular_triplets(other, 8)
    assert with_it.products == without.products + 1
    assert torch.equal(with_it.v, without.v) and torch.equal(with_it.residuals, without.residuals)


def test_a_search_space_that_holds_everything_begins_anew():
    dense = dense_matrix(6, 9, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    whole = top_singular_triplets(DenseOperator(dense), 6, tolerance=1e-30, max_products=10_000)
    again = top_singular_triplets(DenseOperator(dense), 6, search_space=whole.search_space)
    torch.testing.assert_close(again.s, whole.s)


@pytest.mark.parametrize(
    "shape, method", [((60, 69), "krylov"), ((61, 70), "krylov"), ((60, 70), "subspace")]
)
def test_an_impossible_search_space_is_refused(shape, method):
    space = top_singular_triplets(DenseOperator(dense_matrix(*shape, [1.0, 0.5])), 2).search_space
    with pytest.raises(ValueError, match="space"):
        top_singular_triplets(
            DenseOperator(dense_matrix(60, 70, [1.0, 0.5])), 2, method=method, search_space=space
        )


def test_a_search_space_of_a_tiny_operator_goes_on():
    operator = DenseOperator(dense_matrix(50, 60, [0.9**i * 1e-23 for i in range(40)], torch.float32))
    part = top_singular_triplets(operator, 3)
    rest = top_singular_triplets(operator, 8, search_space=part.search_space)
    assert rest.converged and rest.products < top_singular_triplets(operator, 8).products
    assert largest_error(rest, [0.9**i * 1e-23 for i in range(40)]) <= 1e-2
