"""The types of the options. A type refuses a wrong value in one sentence, before any work begins."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

from ..faces.vocabulary import tokenize

LONGEST = 60  # characters of a wrong value that a message repeats
MAX_STEPS = 10_000  # ten for each timestep of the model; more steps change nothing
MAX_JOBS = 1024


def shorten(value: object) -> str:
    """A value between quotes, cut where it is too long for a message."""
    text = str(value)
    return repr(text if len(text) <= LONGEST else text[:LONGEST] + "...")


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Make the type of an option that is a whole number.

    Args:
        low: The smallest number.
        high: The largest number. None allows every larger number.

    Returns:
        A type for `argparse`.
    """
    limits = f"of at least {low}" + ("" if high is None else f" and at most {high}")

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"must be a whole number {limits}, got {shorten(text)}")
        return number

    return parse


def real(meaning: str, allowed: Callable[[float], bool]) -> Callable[[str], float]:
    """Make the type of an option that is a real number.

    Args:
        meaning: What the number must be, in words.
        allowed: Whether a number is allowed. It must be false for NaN.

    Returns:
        A type for `argparse`.
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"must be {meaning}, got {shorten(text)}")
        return value

    return parse


def path(text: str) -> Path:
    """The type of an option that names a file or a folder."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be the name of a file or a folder, got {shorten(text)}")
    return Path(text)


def prompt(text: str) -> str:
    """The type of --prompt: words that the bundled model knows."""
    try:
        tokenize(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def jobs(text: str) -> int:
    """The type of --jobs, which joblib understands: negative numbers count down from all processors."""
    number = whole(-MAX_JOBS, MAX_JOBS)(text)
    if number == 0:
        raise argparse.ArgumentTypeError("must be 1 or more processes, or -1 for all processors, got '0'")
    return number


def backend(text: str) -> str:
    """The type of --backend: the name of a joblib backend."""
    if not text.strip():
        raise argparse.ArgumentTypeError("must be the name of a joblib backend, got ''")
    return text


SEED = whole(-(2**63), 2**64 - 1)  # the seeds that torch takes
COUNT = whole(1)
STEPS = whole(1, MAX_STEPS)
TIMESTEP = real("a fraction of T, above 0 and at most 1", lambda value: 0 < value <= 1)
TOLERANCE = real("above 0 and at most 1", lambda value: 0 < value <= 1)
STRENGTH = real(
    "from -100 to 100 and at least 0.000001 away from zero", lambda value: 1e-6 <= abs(value) <= 100
)
BOOST = real("a fraction of T from 0 to 1", lambda value: 0 <= value <= 1)
LEARNING_RATE = real("above 0 and at most 1", lambda value: 0 < value <= 1)
