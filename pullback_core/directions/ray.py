"""A number that grows along a way, known at a few lengths: which length gives a wanted number."""

import bisect
import math

MOST_GROWTH = 2.0  # a length that is too small is at most doubled
MOST_SHRINKING = 0.25
MOST_EXCESS = 1.25  # where the number jumps over the wanted one, the smaller number is nearer
EDGE = 0.1  # an interpolated length stays away from both ends of its interval, by this share of it

ENDLESS = 1e3  # beyond every logarithm of a ratio


class Ray:
    """What was measured at some lengths of one way, where the length 0 has the number 0.

    The numbers usually grow with the length, but not steadily, and they may jump.

    Args:
        slope: The growth of the number at the beginning, for the first guess; above 0.
    """

    def __init__(self, slope: float) -> None:
        self._slope = slope
        self._points: list[tuple[float, float]] = []  # (length, number), by rising length

    def add(self, length: float, number: float) -> None:
        """Remember a measurement. A number that is not finite counts as endless."""
        bisect.insort(self._points, (length, number if math.isfinite(number) else math.inf))

    def measured(self) -> bool:
        """Whether there is a measurement."""
        return bool(self._points)

    def guess(self, wanted: float) -> float:
        """The length at which the wanted number may be, to be measured next.

        Args:
            wanted: The number, above 0. Where it is passed several times, the first time counts.

        Returns:
            A length. Between a number that is too small and one that is too large, both are taken as powers
            of the length.
        """
        if not self._points:
            return wanted / self._slope
        beyond = next((index for index, point in enumerate(self._points) if not point[1] < wanted), None)
        if beyond is None:
            length, number = self._points[-1]
            return length * min(wanted / number if number > 0 else math.inf, MOST_GROWTH)
        length, number = self._points[beyond]
        if beyond == 0:
            return length * max(wanted / number, MOST_SHRINKING)
        shorter, smaller = self._points[beyond - 1]
        if smaller <= 0:
            return math.sqrt(shorter * length)
        share = math.log(wanted / smaller) / math.log(number / smaller)
        return shorter * (length / shorter) ** min(max(share, EDGE), 1 - EDGE)

    def nearest(self, wanted: float) -> tuple[float, float]:
        """The measurement whose number is nearest to the wanted one, by ratio.

        Args:
            wanted: The number, above 0.

        Returns:
            Its length and its number. There must be a measurement. A number that is much too large is taken
            only if there is no other.
        """
        return min(self._points, key=lambda point: _distance(point[1], wanted))

    def longest_within(self, limit: float) -> float:
        """The longest length up to which no number was measured that is above a limit.

        Args:
            limit: The largest number.

        Returns:
            The length; the shortest one where all numbers are above the limit. There must be a measurement.
        """
        longest = self._points[0][0]
        for length, number in self._points:
            if number > limit:
                break
            longest = length
        return longest

    def knows(self, wanted: float, tolerance: float) -> bool:
        """Whether a number was measured that differs from the wanted one by at most this share."""
        return any(abs(number - wanted) <= tolerance * wanted for _, number in self._points)


def _distance(number: float, wanted: float) -> float:
    """How far a number is from the wanted one, by ratio; more than any other if it is much too large."""
    if number <= 0:
        return ENDLESS
    distance = abs(math.log(number / wanted)) if number < math.inf else ENDLESS
    return distance if number <= MOST_EXCESS * wanted else ENDLESS + distance
