"""The words that the bundled model understands, and what they mean in a drawing.

A prompt is a comma-separated list of phrases, "glasses, smiling, blue background". Every phrase
belongs to one slot (glasses yes or no, hair colour, ...); the prompt becomes one token per slot,
the slot's own empty token where nothing is said. The empty prompt is all empty tokens.
"""

import difflib

import torch

from .parameters import BACKGROUND_COLOURS, COLUMN, HAIR_COLOURS, columns

LONGEST = 60  # characters of an unknown phrase that a message repeats


def _low_high(low, high, below=0.35, above=0.65):
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


def tokenize(prompt):
    """Turn a prompt into tokens.

    prompt: comma-separated phrases, in any order and case; "" for the empty prompt.
    Returns a (len(SLOTS),) int64 tensor.
    Raises ValueError for an unknown phrase or for two phrases that exclude each other.
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


def _unknown(phrase):
    near = difflib.get_close_matches(phrase, SLOT_OF, n=3, cutoff=0.6)
    near += [known for known in SLOT_OF if known not in near and phrase in known.split()]
    hint = f"did you mean {' or '.join(map(repr, near[:3]))}?" if near else f"it knows: {', '.join(SLOT_OF)}."
    shown = phrase if len(phrase) <= LONGEST else phrase[:LONGEST] + "..."
    return f"The model does not know {shown!r}; {hint}"


def describe(parameters):
    """The tokens that are true of drawn faces: (b, len(NAMES)) in [0, 1] -> (b, len(SLOTS)) int64.

    Between two intervals nothing is said (the empty token), nor of hair that cannot be seen.
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


def classify(parameters):
    """The nearest phrase of every slot, also between intervals: (b, len(NAMES)) -> (b, len(SLOTS)) tokens.

    This is how measured parameters are held against a prompt. Colours of hair that is not there mean nothing.
    """
    tokens = describe(parameters)
    for slot, phrases in INTERVALS.items():
        value = parameters[:, COLUMN[slot]]
        distance = torch.stack(
            [(low - value).clamp(min=0) + (value - high).clamp(min=0) for low, high in phrases.values()]
        )
        tokens[:, SLOTS.index(slot)] = torch.tensor([TOKEN[phrase] for phrase in phrases])[
            distance.argmin(dim=0)
        ]
    return tokens
