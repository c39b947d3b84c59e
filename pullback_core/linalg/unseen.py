"""Does a larger singular value hide where the search has not looked?

Small residuals show that the values found are singular values. They do not show that no other is larger, nor
how often each is repeated. A second search answers that: a Lanczos iteration from a random vector, in what
the first search has not seen. Each vector that the first search has not seen has its share in a random
vector, also a repetition of a value that was found.
"""

import math
from enum import Enum, auto

import torch

from .orthonormal import project_out
from .search_space import ROUNDING, RitzTriplets, Search, SearchOptions

# The chance that one check overlooks a larger singular value. The first check is as short as is sound. An
# operator with repeated values needs one check for each repetition, so the checks after a find are stricter.
FIRST_DOUBT, LATER_DOUBT = 0.02, 1e-3


class CheckResult(Enum):
    """What a check found."""

    NOTHING_LARGER = auto()
    LARGER_VALUE = auto()
    NO_ROOM = auto()


def check_unseen(search: Search, options: SearchOptions, doubt: float) -> CheckResult:
    """Look for larger singular values in what the search has not seen.

    Args:
        search: The search, which the check extends: its products serve there too.
        options: The rank and the tolerance of the search.
        doubt: The largest chance that the check may leave.

    Returns:
        NOTHING_LARGER when the chance that one is left is at most `doubt`, LARGER_VALUE when one was found,
        NO_ROOM when the limit of products ended the check.
    """
    before = search.ritz(options.rank) if len(search.q) >= options.rank else None
    unseen = UnseenPart(search)
    while search.operator.has_room(1):
        unseen.extend()
        found = search.ritz(options.rank)
        search.operator.report(found.largest_residual)
        if search.complete:
            return CheckResult.NOTHING_LARGER
        if before is not None and unseen.largest() > _threshold(before, options.tolerance):
            return CheckResult.LARGER_VALUE
        if unseen.chance_of_more_than(_threshold(found, options.tolerance)) <= doubt:
            return CheckResult.NOTHING_LARGER
    return CheckResult.NO_ROOM


def _threshold(found: RitzTriplets, tolerance: float) -> float:
    """The square of the least singular value that, if it was overlooked, makes one of the triplets wrong."""
    return (found.s[-1] + tolerance * found.s[0]).item() ** 2


class UnseenPart:
    """The Lanczos iteration of C = P J^T J P, where P projects out what a search had seen before.

    The iteration starts from a random vector. Its vectors become part of the search space. C is represented
    by a tridiagonal matrix, from whose entries the two bounds are computed.
    """

    def __init__(self, search: Search) -> None:
        self._search = search
        self._dimensions = search.operator.n - len(search.q)
        self._next = search.random(1)
        self._diagonal: list[float] = []
        self._off_diagonal: list[float] = []

    def extend(self) -> None:
        """One step of the iteration: two products."""
        search = self._search
        search.extend(self._next)
        rest = project_out(project_out(search.returns[-1], search.q), search.q)
        image_length, rest_length = search.images[-1].norm().item(), rest.norm().item()
        if rest_length <= ROUNDING * search.operator.eps * image_length * search.norm():
            rest_length = 0.0  # the iteration has seen all that the random vector holds
        self._diagonal.append(image_length**2)
        self._off_diagonal.append(rest_length)
        self._next = rest[None]

    def largest(self) -> float:
        """A lower bound of the largest eigenvalue of C, which is near it after a few steps.

        It is the largest eigenvalue of the tridiagonal matrix, a Ritz value, and no Ritz value is above the
        largest eigenvalue (Cauchy's interlace theorem; Parlett, The Symmetric Eigenvalue Problem, 1980,
        section 10.1).


        Returns:
            The bound.
        """
        beside = torch.tensor(self._off_diagonal[:-1], dtype=torch.float64)
        matrix = torch.diag(torch.tensor(self._diagonal, dtype=torch.float64))
        matrix = matrix + torch.diag(beside, 1) + torch.diag(beside, -1)
        return torch.linalg.eigvalsh(matrix)[-1].item()

    def chance_of_more_than(self, value: float) -> float:
        """An upper bound of the chance that C has an eigenvalue above `value` that the iteration missed.

        An eigenvector h has the share w = <g, h>^2 in the unit random vector g. If its eigenvalue is above
        `value`, its share is at most 1 / sum_j p_j(value)^2, where p_j are the polynomials that are
        orthonormal for the iteration (the Christoffel function; Nevai, J. Approx. Theory 48, 1986). For a
        random direction in N dimensions, the chance of a share below w is at most sqrt(2 N w / pi) (Dixon,
        SIAM J. Numer. Anal. 20, 1983).

        Args:
            value: A bound for eigenvalues of C.

        Returns:
            The bound of the chance, at most 1.
        """
        if self.largest() >= value and self._off_diagonal[-1] > 0:
            return 1.0
        before, newest, total = (
            0.0,
            1.0,
            1.0,
        )  # p_{j-1}, p_j and the sum of squares, by the three-term recurrence
        last_beside = 0.0
        for diagonal, beside in zip(self._diagonal, self._off_diagonal):
            if beside == 0 or total > 1e100:
                return 0.0
            before, newest = newest, ((value - diagonal) * newest - last_beside * before) / beside
            last_beside = beside
            total += newest**2
        return math.sqrt(2 * self._dimensions / (math.pi * total))
