"""One finding: a claim, a number with its interval, a figure and a table."""

from typing import Any, NamedTuple

from PIL.Image import Image as Picture


class Interval(NamedTuple):
    """A number and its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """The number as the page shows it."""
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def verdict(self, sign: int, neutral: float) -> str:
        """Tell what the interval says about a claim.

        Args:
            sign: +1 if the claim says that the number is above `neutral`, -1 if below.
            neutral: The number between both sides.

        Returns:
            "holds", "is contradicted" or "is undecided". An interval with NaN is undecided.
        """
        ends = [sign * (end - neutral) for end in (self.low, self.high)]
        if all(end > 0 for end in ends):
            return "holds"
        return "is contradicted" if all(end < 0 for end in ends) else "is undecided"


class Finding(NamedTuple):
    """What the study says about one claim.

    Attributes:
        name: The name of its files.
        title: Its heading.
        claim: The claim, a sentence.
        measure: What the number is.
        number: The number.
        sign: +1 or -1, the side of `neutral` that the claim says.
        neutral: The number between both sides.
        remarks: More numbers, in sentences.
        figure: A Pillow image.
        table: The rows of the CSV file.
    """

    name: str
    title: str
    claim: str
    measure: str
    number: Interval
    sign: int
    neutral: float
    remarks: str
    figure: Picture
    table: list[dict[str, Any]]

    @property
    def verdict(self) -> str:
        """Whether the claim holds, see `Interval.verdict`."""
        return self.number.verdict(self.sign, self.neutral)
