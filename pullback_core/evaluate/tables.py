"""Tables of the page, in Markdown."""

from collections.abc import Iterable, Sequence
from typing import Any

from .statistics import Number


def shown(number: Number | None, digits: int = 2) -> str:
    """A number with its interval: "0.52 [0.50, 0.54]". Empty for None."""
    if number is None:
        return ""
    value, low, high = number
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [_row(headings), "|" + "---|" * len(headings), *(_row(row) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def numbers_table(
    first: str, columns: dict[str, tuple[str, int]], rows: dict[str, dict[str, Any]]
) -> list[str]:
    """A table of numbers.

    Args:
        first: The heading of the first column.
        columns: {measure: (heading, digits)}.
        rows: {label: {measure: number}}. A measure that a row lacks leaves its cell empty.

    Returns:
        The lines.
    """
    headings = [first, *(heading for heading, _ in columns.values())]
    return table(
        headings,
        (
            [label, *(shown(numbers.get(measure), digits) for measure, (_, digits) in columns.items())]
            for label, numbers in rows.items()
        ),
    )
