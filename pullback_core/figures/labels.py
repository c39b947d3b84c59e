"""Texts of numbers, for headings and file names."""

import math
from collections.abc import Iterable

ENOUGH_DIGITS = 17  # tell all floats apart
ZERO_SHARE = 1e-6  # with signs, a number below this share of the largest is written as 0


def number_labels(numbers: Iterable[float], digits: int = 3, sign: bool = False) -> list[str]:
    """Write numbers as short texts. Different numbers get different texts.

    Args:
        numbers: The numbers.
        digits: The significant digits. All texts get more digits if two numbers would get the same text.
        sign: Put a plus in front of positive numbers, and write "0" for zero and for rounding errors.

    Returns:
        One text for each number.
    """
    values = [float(number) for number in numbers]
    if sign:
        values = _without_rounding_errors(values)
    form = "+" if sign else ""
    texts = []
    for precision in range(digits, ENOUGH_DIGITS + 1):
        texts = [f"{value:{form}.{precision}g}" for value in values]
        if len(set(texts)) == len(set(values)):
            break
    return ["0" if sign and value == 0 else text for value, text in zip(values, texts)]


def _without_rounding_errors(values: list[float]) -> list[float]:
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return [0.0 if abs(value) < ZERO_SHARE * largest else value for value in values]
