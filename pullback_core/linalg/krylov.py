"""Block Krylov iteration with full reorthogonalisation: expand, Rayleigh-Ritz, stop."""

import math

import torch

from .search_space import RitzTriplets, Search, SearchOptions, SearchSpace
from .unseen import FIRST_DOUBT, LATER_DOUBT, CheckResult, check_unseen


def block_krylov(
    search: Search,
    options: SearchOptions,
    start: torch.Tensor | None = None,
    saved: SearchSpace | None = None,
) -> tuple[RitzTriplets, bool]:
    """Find the leading triplets in a search space that keeps every vector.

    Args:
        search: An empty search.
        options: Its rank, tolerance and block size.
        start: (k, *in_shape), vectors near the ones that are sought.
        saved: A search space of the same operator to go on from.

    Returns:
        The triplets, and whether a check found nothing larger.

    Source: Golub, Luk, Overton, "A Block Lanczos Method for Computing the Singular Values and Corresponding
    Singular Vectors of a Matrix", ACM TOMS 7, 1981. Here the next block is made of the largest residuals.
    """
    checked = False
    if saved is None or not search.resume(saved, options.tolerance):
        if options.rank == options.block_size == 1 and start is None:
            # No repetition can displace a single value, so its check serves as the search.
            checked = check_unseen(search, options, FIRST_DOUBT) is CheckResult.NOTHING_LARGER
        else:
            search.extend(search.first_block(options.block_size, start))
    doubt = FIRST_DOUBT
    while True:
        found = _expand_until_settled(search, options)
        if search.complete:
            return found, True
        if checked or found.largest_residual > options.tolerance:
            return found, checked
        result = check_unseen(search, options, doubt)
        if result is CheckResult.NO_ROOM:
            return search.ritz(options.rank), False
        checked = result is CheckResult.NOTHING_LARGER
        doubt = LATER_DOUBT


def _expand_until_settled(search: Search, options: SearchOptions) -> RitzTriplets:
    """Multiply vectors until every residual is within the tolerance, or the products are used up."""
    while len(search.q) < options.rank:
        if len(search.q):
            search.operator.report(math.inf)
        search.extend(search.returns[-options.block_size :])
    while True:
        found = search.ritz(options.rank)
        search.operator.report(found.largest_residual)
        settled = found.largest_residual <= options.tolerance
        if settled or search.complete or not search.operator.has_room(options.block_size):
            return found
        search.extend(found.unsettled(options.tolerance)[: options.block_size])
