"""The leading singular triplets of a linear operator, from its products alone.

>>> import torch
>>> from pullback_core.linalg.jacobian import Jacobian
>>> jacobian = Jacobian(lambda x: x**3 / 3, torch.tensor([1.0, 3.0, 2.0]))  # diagonal: 1, 9, 4
>>> found = top_singular_triplets(jacobian, rank=2)
>>> [round(value, 3) for value in found.s.tolist()]
[9.0, 4.0]
>>> found.v.abs().round()
tensor([[0., 1., 0.],
        [0., 0., 1.]])
>>> found.converged
True
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from .krylov import block_krylov
from .linear_operator import LinearOperator
from .precision import without_autocast
from .scaled_operator import OVERFLOW, ScaledOperator
from .search_space import RitzTriplets, Search, SearchOptions, SearchSpace
from .subspace_iteration import subspace_iteration

METHODS = ("krylov", "subspace")
PRODUCTS_FOR_EACH_TRIPLET = 200  # the default limit


class SingularTriplets(NamedTuple):
    """J v_i = s_i u_i, largest s first.

    The sign of a pair (v_i, u_i) is free: the largest entry of v_i is made positive.

    Attributes:
        v: (rank, *in_shape) orthonormal.
        s: (rank,) descending.
        u: (rank, *out_shape) orthonormal.
        residuals: (rank,), ||J^T u_i - s_i v_i|| / s_1, from products that were computed.
        products: How many J v and J^T u were computed.
        converged: Whether every residual is within the tolerance, and a check found no singular value that is
            larger than one of these by more than tolerance * s_1.
        search_space: A `SearchSpace` to go on from; None for the method "subspace".
    """

    v: torch.Tensor
    s: torch.Tensor
    u: torch.Tensor
    residuals: torch.Tensor
    products: int
    converged: bool
    search_space: SearchSpace | None = None


@without_autocast()
def top_singular_triplets(
    operator: LinearOperator,
    rank: int,
    *,
    tolerance: float = 1e-2,
    max_products: int | None = None,
    seed: int = 0,
    method: str = "krylov",
    block_size: int | None = None,
    start: torch.Tensor | None = None,
    progress: Callable[[int, float], object] | None = None,
    search_space: SearchSpace | None = None,
) -> SingularTriplets:
    """Find the `rank` largest singular values of an operator and their vectors.

    Each step multiplies one block by J and the result by J^T. Everything that the products say is kept, so a
    residual costs no further product.

    Args:
        operator: A `Jacobian`, or anything else that is a `LinearOperator`.
        rank: How many triplets to find.
        tolerance: The search stops when every residual ||J^T u_i - s_i v_i|| / s_1 is at most this, and a
            second search found nothing larger in what the first one has not seen (see `unseen`).
        max_products: The search stops there at the latest, converged or not; None is 200 for each triplet.
            Products that measure singular values of zero come on top.
        seed: The seed of the random vectors.
        method: "krylov" is block Krylov iteration (see `krylov`). "subspace" is Algorithm 1 of Park et al.
            2023, which keeps only the newest block (see `subspace_iteration`).
        block_size: How many vectors go through the operator together. None is `rank` for "subspace", and for
            "krylov" 1, which takes the fewest products. Where many values are repeated or nearly so, a block
            of `rank` finds them at once, and fewer checks do.
        start: (k, *in_shape), vectors near the ones that are sought, such as the v of a neighbouring timestep
            ("krylov" only). A poor start costs little and excludes nothing.
        progress: Called as progress(products, largest residual) after every block. An exception that it
            raises ends the work.
        search_space: The search space of an earlier result for the same operator ("krylov" only), to go on
            with a larger rank or a smaller tolerance. One product tells whether the operator is the same. If
            it is another one, the search begins anew.

    Returns:
        The triplets, in the dtype of the operator's x but at least float32. Half precision is for products
        only.

    Raises:
        ValueError: A rank, tolerance, method or other option makes no sense, or products are not finite.
    """
    n, m = math.prod(operator.in_shape), math.prod(operator.out_shape)
    options = _checked_options(n, m, rank, tolerance, method, block_size)
    _check_beginning(operator, n, m, method, start, search_space)
    max_products = _checked_limit(n, options, max_products)

    search = Search(ScaledOperator(operator, max_products, progress), seed)
    if method == "subspace":
        return _singular_triplets(search, options, *subspace_iteration(search, options))
    found, nothing_larger = block_krylov(search, options, start, search_space)
    triplets = _singular_triplets(search, options, found, nothing_larger)
    return triplets._replace(search_space=search.saved())


def _checked_options(
    n: int, m: int, rank: int, tolerance: float, method: str, block_size: int | None
) -> SearchOptions:
    """The options, with the default block size. Raises ValueError for options that make no sense."""
    if not 1 <= rank <= min(n, m):
        raise ValueError(f"The rank must be from 1 to {min(n, m)} for a Jacobian of {m} x {n}, got {rank}.")
    if not 0 < tolerance < math.inf:
        raise ValueError(f"The tolerance must be positive and finite, got {tolerance}.")
    if method not in METHODS:
        raise ValueError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
    if block_size is None:
        block_size = 1 if method == "krylov" else rank
    smallest = 1 if method == "krylov" else rank
    if not smallest <= block_size <= min(n, m):
        raise ValueError(f"A block of {block_size} does not suit rank {rank} of a Jacobian of {m} x {n}.")
    return SearchOptions(rank, tolerance, block_size)


def _check_beginning(
    operator: LinearOperator,
    n: int,
    m: int,
    method: str,
    start: torch.Tensor | None,
    search_space: SearchSpace | None,
) -> None:
    """Refuse vectors to begin with that do not suit the operator or the method."""
    krylov = method == "krylov"
    in_shape = tuple(operator.in_shape)
    if start is not None and (not krylov or not len(start) or start.shape[1:] != in_shape):
        raise ValueError(
            f"A start is for the method 'krylov', with vectors of shape {in_shape}, "
            f"got {tuple(start.shape)} for {method!r}."
        )
    if search_space is None:
        return
    if not krylov or [rows.shape[1:] for rows in search_space[:3]] != [(n,), (m,), (n,)]:
        raise ValueError(
            "A search space is for the method 'krylov' and an operator of the same shape, "
            f"here {m} x {n}, got one for {method!r}."
        )


def _checked_limit(n: int, options: SearchOptions, max_products: int | None) -> int:
    """The limit of products, or its default. Raises ValueError for one that is too small for the rank."""
    blocks = math.ceil(options.rank / options.block_size)
    least = 2 * min(n, options.block_size * blocks)
    if max_products is None:
        return max(PRODUCTS_FOR_EACH_TRIPLET * options.rank, least)
    if max_products < least:
        raise ValueError(
            f"max_products must be at least {least} for rank {options.rank} "
            f"in blocks of {options.block_size}, got {max_products}."
        )
    return max_products


def _singular_triplets(
    search: Search, options: SearchOptions, found: RitzTriplets, nothing_larger: bool
) -> SingularTriplets:
    """The triplets of the operator itself, with its shapes, and with signs that are fixed."""
    operator = search.operator
    v, u, residuals = found.v, search.left_vectors(found), found.residuals
    if found.null.any():
        residuals = _residuals_with_null_values(operator, found, u)
    s = operator.to_rows_dtype(found.s) * (operator.scale or 1.0)
    if not torch.isfinite(s).all():
        raise ValueError(OVERFLOW)
    sign = torch.gather(v, 1, v.abs().argmax(dim=1, keepdim=True)).sign()
    return SingularTriplets(
        v=(v * sign).view(-1, *operator.in_shape),
        s=s,
        u=(u * sign).view(-1, *operator.out_shape),
        residuals=residuals,
        products=operator.products,
        converged=nothing_larger and residuals.max().item() <= options.tolerance,
    )


def _residuals_with_null_values(
    operator: ScaledOperator, found: RitzTriplets, u: torch.Tensor
) -> torch.Tensor:
    """The residuals (rank,), of which those with s of zero are measured by products."""
    v, null = found.v, found.null.to(u.device)
    rows = operator.vjp(u[null]) / (operator.scale or 1.0)
    rests = rows - operator.to_rows_dtype(found.s)[null, None] * v[null]
    largest = found.s[0].item() or torch.finfo(v.dtype).tiny
    return found.residuals.masked_scatter(null, rests.norm(dim=1) / largest)
