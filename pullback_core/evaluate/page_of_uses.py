"""The sections of the page about the uses of directions: transport, masks, words, strength."""

from typing import Any

from .carried import CARRYING
from .kinds import DEFAULT, KINDS
from .settings import Settings
from .tables import numbers_table

CARRIED = {
    "success": ("success", 2),
    "success in the best quarter": ("best quarter", 2),
    "rank correlation": ("rank correlation", 2),
    "success of colours": ("colours", 2),
    "success of forms": ("forms", 2),
    "success in the best quarter of forms": ("forms, best quarter", 2),
    "rank correlation of forms": ("forms, rank correlation", 2),
}
WORDED = {
    "right": ("right", 2),
    "first": ("first", 2),
    "purity": ("purity", 2),
    "purity / shift": ("purity / d_w", 2),
    "outside": ("other attributes", 2),
}
RECIPES = {
    "shift": "d_w itself",
    "direction": "direction of the word",
    "direction_keep": "direction of the word that keeps the other words",
    "direction_mask": "direction of the word, inside the mask of where it shows",
}
MASKED = {
    "inside": ("share inside", 2),
    "inside of the null space": ("null space", 2),
    "intended first": ("intended attribute first", 2),
    "intended first of the null space": ("null space", 2),
    "off face": ("off face", 3),
    "off face of the null space": ("null space", 3),
}


def transport_section(report: dict[str, Any]) -> list[str]:
    """What carried directions do."""
    rows = {_carried_title(name): numbers for name, numbers in report["transport"].items()}
    pairs = next(iter(report["transport"].values()))["pairs"]
    return [
        "## Carried to other faces",
        "",
        f"{pairs} pairs of faces. Success: the cosine of the changes of the 22 attributes in source and "
        f"target; "
        "1 is the same change, 0 is chance. *Best quarter*: the carried directions of the best alignment. "
        "*Rank correlation*: of alignment and success. A direction is of a *form* or a *colour* by the "
        "attribute "
        "that it changes most in its source.",
        "",
        *numbers_table("directions", CARRIED, rows),
        "",
    ]


def masks_section(report: dict[str, Any], settings: Settings) -> list[str]:
    """What directions inside masks do."""
    return [
        f"## Masks, {settings.default:g} T",
        "",
        "The share of the energy of a true edit that is inside the mask, and whether the attribute that "
        "changes most along the first direction is one of that part. Two directions of each part, at "
        "strength 1 "
        "inside the mask. *Null space*: the leading direction inside, without the leading directions of the "
        "rest, after LOCO Edit (arXiv 2409.02374); it searches anew for each mask.",
        "",
        *numbers_table("part", MASKED, report["masks"]),
        "",
    ]


def words_section(report: dict[str, Any], settings: Settings) -> list[str]:
    """What directions of words do."""
    return [
        f"## Words, {settings.default:g} T",
        "",
        f"{settings.words} words at strength 1, each on the faces of which it is not true yet. *Right*: the "
        f"named "
        "attribute changes towards the word. *First*: it changes most of all. *Purity*: its share of all "
        "change; a colour counts as one attribute. *Other attributes*: their sum.",
        "",
        *numbers_table("direction", WORDED, {RECIPES[key]: row for key, row in report["words"].items()}),
        "",
    ]


def strength_section(report: dict[str, Any], settings: Settings) -> list[str]:
    """How equal edits of one strength are."""
    columns = {f"{timestep:g}": (f"{timestep:g} T", 2) for timestep in settings.timesteps}
    return [
        "## Is strength 1 equally strong everywhere?",
        "",
        "Standard deviation over mean of the change of the finished picture, over the first directions and "
        "faces. *Measured*: lengths by the unit of strength, from generations of few steps. *First order*: "
        "lengths by J0 v alone. *One length*: one length for all directions of a face.",
        "",
        *numbers_table("lengths", columns | {"all": ("all timesteps", 2)}, report["strength"]),
        "",
    ]


def _carried_title(name: str) -> str:
    """The title of a way to carry directions, a key of `CARRYING`."""
    kind, method = CARRYING[name]
    title = f"{KINDS[kind].title}: {method}"
    return f"**{title}**" if name == DEFAULT else title
