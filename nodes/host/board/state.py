"""The state of a board: the setting that its page writes into a widget, as JSON."""

import json
from typing import NamedTuple

from ....pullback_core.directions.identity import is_same_basis
from ....pullback_core.directions.setting import MOST

VERSION = 1
LONGEST = 1_000_000  # characters; a page with a painted region writes some thousands
ADVICE = "set the sliders again"


class Setting(NamedTuple):
    """How strong each direction of a basis and each word is.

    Attributes:
        mix: The strength of each direction, in units of what is seen.
        words: text -> the strength of its own direction. Words that are not set are not there.
    """

    mix: list[float]
    words: dict[str, float]

    def is_empty(self):
        """Whether nothing is set."""
        return not any(self.mix) and not self.words


class State(NamedTuple):
    """What a state says.

    Attributes:
        setting: The setting; an empty one where the state has none or cannot be used.
        basis: The id of the basis that it was made with, "" where it names none.
        note: Why the state is not used, one sentence; "" where it is used.
    """

    setting: Setting
    basis: str
    note: str


def read_state(text, basis, rank, directions=None):
    """Read the state of a board.

    Args:
        text: JSON, or an empty text.
        basis: The id of the connected basis, see the core's `basis_id`.
        rank: How many strengths a setting of it has.
        directions: How many of them are of directions; None for all. What follows may be other vectors where
            the basis was computed again, so it is compared only if the setting uses it.

    Returns:
        The `State`. A state that cannot be used is none: it is never another edit.
    """
    nothing = Setting([0.0] * rank, {})
    if not text.strip():
        return State(nothing, "", "")
    try:
        made_with, setting = _parsed(text)
        first = rank if directions is None else directions
        used = [number for number in range(rank) if number < first or any(setting.mix[number : number + 1])]
        if not is_same_basis(made_with, basis, used):
            raise ValueError(
                f"The setting belongs to another basis than the connected one, so it is not used; {ADVICE}."
            )
        if len(setting.mix) != rank:
            raise ValueError(
                f"The setting has {len(setting.mix)} strengths, and the basis {rank} directions; {ADVICE}."
            )
    except ValueError as error:
        return State(nothing, "", str(error))
    return State(setting, made_with, "")


def _parsed(text):
    """The id of the basis and the `Setting` of a state. Raises ValueError with one sentence."""
    if len(text) > LONGEST:
        raise ValueError(
            f"The state of the board has {len(text)} characters, and at most {LONGEST} are read; {ADVICE}."
        )
    try:
        state = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(
            f"The state of the board is not JSON: it begins with {text[:20]!r}; {ADVICE}."
        ) from None
    if not isinstance(state, dict) or state.get("version") != VERSION:
        version = state.get("version") if isinstance(state, dict) else None
        raise ValueError(
            f"The state of the board is of version {str(version)[:20]}, and this node knows {VERSION}; "
            "update the pack, or set the sliders again."
        )
    made_with, mix, words = state.get("basis", ""), state.get("mix", []), state.get("words", {})
    if not isinstance(made_with, str) or not isinstance(mix, list) or not isinstance(words, dict):
        raise ValueError(
            f"The state of the board needs a text as basis, a list as mix and an object as words; {ADVICE}."
        )
    strengths = [_strength(value, f"direction {number}") for number, value in enumerate(mix, start=1)]
    amounts = {word: _strength(value, word) for word, value in words.items()}
    return made_with, Setting(strengths, {word: amount for word, amount in amounts.items() if amount})


def _strength(value, name):
    """A strength as a float. Raises ValueError where it is none; name: what has it."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # Written so that NaN fails.
    if not is_number or not abs(value) <= MOST:
        raise ValueError(
            f"The state of the board gives {name[:40]} the strength {str(value)[:20]}, and a number from "
            f"-{MOST:g} to {MOST:g} is needed; {ADVICE}."
        )
    return float(value)
