"""The words that the bundled model understands, and their meaning in a drawing.

A prompt is a comma-separated list of phrases, "glasses, smiling, blue background". Every phrase
belongs to one slot (glasses yes or no, hair colour, ...). The prompt becomes one token per slot.
A slot that the prompt does not mention gets its own empty token. The empty prompt is all empty tokens.
"""

import difflib

import torch

from .parameters import BACKGROUND_COLOURS, COLUMN, HAIR_COLOURS, columns

LONGEST = 60  # characters of an unknown phrase that a message repeats


def _low_high(
    low: str, high: str, below: float = 0.35, above: float = 0.65
) -> dict[str, tuple[float, float]]:
    return {low: (0.0, below), high: (above, 1.0)}


# Slot -> phrase -> the interval of the slot's parameter in which the phrase is true.
INTERVALS = {
    "age": _low_high("young", "old"),
    "skin": {"pale skin": (0.0, 0.3), "tan skin": (0.35, 0.65), "dark skin": (0.7, 1.0)},
    "hair_length": {"bald": (0.0, 0.1), "short hair": (0.2, 0.45), "long hair": (0.6, 1.0)},
    "smile": _low_high("frowning", "smiling"),
    "mouth_open": _low_high("closed mouth", "open mouth", 0.35, 0.6),
    "eye_size": _low_high("small eyes", "big eyes"),
    "glasses": _low_high("no glasses", "glasses"),
    "beard": _low_high("no beard", "beard", 0.2, 0.5),
    "hat": _low_high("no hat", "hat"),
    "face_width": _low_high("narrow face", "wide face"),
    "yaw": _low_high("looking left", "looking right"),
}
# Slot -> phrase -> the colour that the slot's three colour columns are nearest to.
PALETTES = {
    "hair": {f"{name} hair": colour for name, colour in HAIR_COLOURS.items()},
    "background": {f"{name} background": colour for name, colour in BACKGROUND_COLOURS.items()},
}
SLOTS = (*INTERVALS, *PALETTES)
PHRASES = {slot: tuple({**INTERVALS, **PALETTES}[slot]) for slot in SLOTS}
SLOT_OF = {phrase: slot for slot in SLOTS for phrase in PHRASES[slot]}

# Token numbers: the empty token of each slot, then all phrases, both in the order of SLOTS.
TOKEN = {phrase: len(SLOTS) + index for index, phrase in enumerate(SLOT_OF)}
TOKEN_COUNT = len(SLOTS) + len(SLOT_OF)


def tokenize(prompt: str) -> torch.Tensor:
    """Turn a prompt into tokens.

    Args:
        prompt: Comma-separated phrases, in any order and case; "" for the empty prompt.

    Returns:
        (len(SLOTS),) int64.

    Raises:
        ValueError: A phrase is unknown, or two phrases exclude each other.
    """
    tokens = torch.arange(len(SLOTS))
    said = {}
    for phrase in (part.strip().lower() for part in prompt.split(",")):
        if not phrase:
            continue
        if phrase not in SLOT_OF:
            raise ValueError(_unknown(phrase))
        slot = SLOT_OF[phrase]
        if said.setdefault(slot, phrase) != phrase:
            raise ValueError(
                f"The prompt says both {said[slot]!r} and {phrase!r}, which exclude each other; keep one."
            )
        tokens[SLOTS.index(slot)] = TOKEN[phrase]
    return tokens


def _unknown(phrase: str) -> str:
    """A message about an unknown phrase, with phrases that are near."""
    near = difflib.get_close_matches(phrase, SLOT_OF, n=3, cutoff=0.6)
    near += [known for known in SLOT_OF if known not in near and phrase in known.split()]
    hint = f"did you mean {' or '.join(map(repr, near[:3]))}?" if near else f"it knows: {', '.join(SLOT_OF)}."
    shown = phrase if len(phrase) <= LONGEST else phrase[:LONGEST] + "..."
    return f"The model does not know {shown!r}; {hint}"


def describe(parameters: torch.Tensor) -> torch.Tensor:
    """Find the tokens that are true of drawn faces.

    A slot gets its empty token between two intervals, and where the hair cannot be seen.

    Args:
        parameters: (b, len(NAMES)) in [0, 1].

    Returns:
        (b, len(SLOTS)) int64.
    """
    tokens = torch.arange(len(SLOTS)).repeat(len(parameters), 1)
    for slot, phrases in INTERVALS.items():
        value = parameters[:, COLUMN[slot]]
        for phrase, (low, high) in phrases.items():
            tokens[(value >= low) & (value <= high), SLOTS.index(slot)] = TOKEN[phrase]
    for slot, phrases in PALETTES.items():
        palette = torch.tensor(list(phrases.values()), dtype=parameters.dtype)
        nearest = torch.cdist(parameters[:, columns(slot)], palette).argmin(dim=1)
        tokens[:, SLOTS.index(slot)] = torch.tensor([TOKEN[phrase] for phrase in phrases])[nearest]
    bald = parameters[:, COLUMN["hair_length"]] <= INTERVALS["hair_length"]["bald"][1]
    tokens[bald, SLOTS.index("hair")] = SLOTS.index("hair")
    return tokens


def classify(parameters: torch.Tensor) -> torch.Tensor:
    """Find the nearest phrase of every slot, also between intervals.

    So measured parameters are compared with a prompt. The colours of hair that is not there mean nothing.

    Args:
        parameters: (b, len(NAMES)).

    Returns:
        (b, len(SLOTS)) int64.
    """
    tokens = describe(parameters)
    for slot, phrases in INTERVALS.items():
        value = parameters[:, COLUMN[slot]]
        distance = torch.stack(
            [(low - value).clamp(min=0) + (value - high).clamp(min=0) for low, high in phrases.values()]
        )
        slot_tokens = torch.tensor([TOKEN[phrase] for phrase in phrases])
        tokens[:, SLOTS.index(slot)] = slot_tokens[distance.argmin(dim=0)]
    return tokens
