"""Subspace iteration, the method of Park et al. 2023: expand, Rayleigh-Ritz, stop.

It keeps only the newest block.
"""

from .search_space import RitzTriplets, Search, SearchOptions
from .unseen import FIRST_DOUBT, LATER_DOUBT, CheckResult, check_unseen


def subspace_iteration(search: Search, options: SearchOptions) -> tuple[RitzTriplets, bool]:
    """Find the leading triplets by multiplying one block by J^T J again and again.

    Args:
        search: An empty search.
        options: Its rank, tolerance and block size.

    Returns:
        The triplets, and whether a check found nothing larger.

    Source: Park et al. 2023 (arXiv 2307.12868), Algorithm 1. The Rayleigh-Ritz step, the measured residuals
    and the check are added.
    """
    block = search.first_block(options.block_size)
    doubt = FIRST_DOUBT
    while True:
        search.clear()
        search.extend(block)
        found = search.ritz(options.rank)
        search.operator.report(found.largest_residual)
        if search.complete:
            return found, True
        if found.largest_residual <= options.tolerance:
            result = check_unseen(search, options, doubt)
            found = search.ritz(options.rank)
            if result is CheckResult.NOTHING_LARGER and found.largest_residual <= options.tolerance:
                return found, True
            if result is CheckResult.LARGER_VALUE:
                doubt = LATER_DOUBT
        if not search.operator.has_room(options.block_size):
            return found, False
        block = search.leading_returns(options.block_size)
