"""Directions from words: does the named attribute change, the right way, and alone?"""

from collections.abc import Sequence
from typing import Any

import torch

from .. import faces
from ..directions.responses import responses
from ..directions.shifts import strongest_part, where_it_shows
from ..directions.strength import calibrated_lengths
from ..directions.words import listening_points, word_direction, word_shift
from ..faces.parameters import COLUMN, columns
from ..faces.vocabulary import INTERVALS, PALETTES, SLOT_OF, SLOTS, TOKEN, classify
from ..models.denoiser import PICTURE
from . import measures
from .point import Point, load_denoiser, load_regressor

WORDS = (
    "smiling",
    "open mouth",
    "glasses",
    "beard",
    "hat",
    "long hair",
    "bald",
    "dark skin",
    "old",
    "big eyes",
    "wide face",
    "blond hair",
    "green background",
)
# 13 forms, and 3 colours of three channels each.
GROUPS = {faces.NAMES[index]: [index] for index in measures.FORMS}
GROUPS |= {name: list(columns(name)) for name in ("hair", "background", "shirt")}
RECIPES = ("shift", "direction", "direction_keep", "direction_mask")


def words_to_add(parameters: torch.Tensor, words: Sequence[str] = WORDS) -> list[str]:
    """The words that are not true of a face already, and that can be: a bald head has no colour of hair.

    Args:
        parameters: (22,) of the face.
        words: The words to choose from.

    Returns:
        Some of `words`.
    """
    tokens = classify(parameters[None])[0].tolist()
    missing = []
    for word in words:
        slot = SLOTS.index(SLOT_OF[word])
        hidden = SLOT_OF[word] == "hair" and tokens[slot] == slot
        if tokens[slot] != TOKEN[word] and not hidden:
            missing.append(word)
    return missing


def wanted_change(word: str, parameters: torch.Tensor) -> torch.Tensor:
    """How the attributes (22,) of a face would have to change so that a word is true of it."""
    slot, wanted = SLOT_OF[word], torch.zeros(len(faces.NAMES))
    if slot in PALETTES:
        wanted[columns(slot)] = torch.tensor(PALETTES[slot][word]) - parameters[columns(slot)]
    else:
        low, high = INTERVALS[slot][word]
        value = parameters[COLUMN[slot]]
        wanted[COLUMN[slot]] = (low - value).clamp(min=0) - (value - high).clamp(min=0)
    return wanted


def worded_edits(point: Point) -> dict[str, Any]:
    """Measure edits at strength 1 along directions of words.

    The recipes: "shift" is d_w itself, x0(z, word) - x0(z) at the noisy latent. "direction" is that of
    `word_direction`, with the shift heard at `listening_points`. "direction_keep" keeps the words of all
    other attributes unchanged. "direction_mask" blends the edit of "direction" with the unmoved picture
    where the word does not show.

    Args:
        point: The face.

    Returns:
        {recipe: {"word", "right", "first", "purity", "outside"}}: lists with one entry for each word, see
        `word_values`. Nothing where all words are true already.
    """
    parameters = faces.example_parameters([point.face])[0]
    words = words_to_add(parameters, _tried(point))
    if not words:
        return {}
    heard = _heard(point)
    found: dict[str, Any] = {}
    for recipe, directions in _directions(point, words, heard).items():
        lengths = calibrated_lengths(load_denoiser(), point.noisy, directions, [1.0]).lengths
        unit = directions / directions.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        ends = point.generate(lengths.view(-1, 1, 1, 1) * unit)
        found[recipe] = _judged(point, words, ends, parameters)
        if recipe == "direction":
            masks = torch.stack([where_it_shows(heard[word]) for word in words])[:, None]
            blended = point.clean + masks * (ends - point.clean)
            found["direction_mask"] = _judged(point, words, blended, parameters)
    return found


def _judged(point: Point, words: list[str], ends: torch.Tensor, parameters: torch.Tensor) -> dict[str, Any]:
    """The values of edits for words, whose ends are (words, c, h, w)."""
    pictures = faces.decode_latent(torch.cat([ends, point.clean])).clamp(-1, 1)
    before = pictures[-1:].expand_as(pictures[:-1])
    changes = measures.attribute_change(load_regressor(), pictures[:-1], before)
    rows = [word_values(word, change, parameters) for word, change in zip(words, changes)]
    return {"word": words} | {name: [row[name] for row in rows] for name in rows[0]}


def word_values(word: str, change: torch.Tensor, parameters: torch.Tensor) -> dict[str, float]:
    """Judge what an edit for a word has changed.

    Args:
        word: The word.
        change: (22,) of the attributes, in standard deviations.
        parameters: (22,) of the face before the edit.

    Returns:
        "right": 1 if the named attribute changes towards the word, else 0. "first": 1 if it changes most of
        all. "purity": its share of all change. "outside": the sum of the changes of all others. The three
        channels of a colour count as one attribute.
    """
    wanted = wanted_change(word, parameters) / load_regressor().deviation
    sizes = {name: change[indices].norm().item() for name, indices in GROUPS.items()}
    named, total = sizes[SLOT_OF[word]], sum(sizes.values())
    return {
        "right": float((change * wanted).sum() > 0),
        "first": float(named == max(sizes.values())),
        "purity": named / total,
        "outside": total - named,
    }


def _tried(point: Point) -> tuple[str, ...]:
    return WORDS[: point.store.settings.words]


def _heard(point: Point) -> dict[str, torch.Tensor]:
    """The shifts of the words that are tried, heard at several noise levels."""
    latent = faces.encode_image(point.picture)
    listening = listening_points(latent, load_denoiser().schedule, point.noisy, seed=point.face)
    shifts = {}
    for word in _tried(point):
        shifts[word] = word_shift(load_denoiser(), load_denoiser(prompt=word), listening)
    return shifts


def _directions(point: Point, words: list[str], heard: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """{recipe: (words, c, h, w)}."""
    basis, picture = point.deep_basis(), load_denoiser(feature=PICTURE)
    rows: dict[str, list[torch.Tensor]] = {recipe: [] for recipe in RECIPES[:3]}
    for word in words:
        others = [heard[other] for other in _tried(point) if SLOT_OF[other] != SLOT_OF[word]]
        rows["shift"].append(word_shift(load_denoiser(), load_denoiser(prompt=word), point.noisy))
        own = responses(picture, point.noisy, strongest_part(heard[word])[None])
        rows["direction"].append(word_direction(basis, heard[word], own=own).basis.v[0])
        rows["direction_keep"].append(word_direction(basis, heard[word], others, own=own).basis.v[0])
    return {recipe: torch.stack(some) for recipe, some in rows.items()}
