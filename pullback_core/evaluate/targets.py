"""What the defaults have to reach, and whether they do."""

from typing import Any, NamedTuple

from .kinds import DEFAULT
from .statistics import Number

PURITY_RATIO = "purity / shift"


class Target(NamedTuple):
    """A number that the defaults have to reach.

    Attributes:
        title: What is wanted.
        path: The keys of the number in the report.
        least: The least value, or None.
        most: The largest value, or None.
    """

    title: str
    path: tuple[str, ...]
    least: float | None = None
    most: float | None = None

    def is_met(self, number: Number) -> bool:
        """Whether a value reaches the target. The interval is shown beside it and does not decide."""
        value = number[0]
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

    @property
    def bound(self) -> str:
        """The wanted bound, in words."""
        return f"at least {self.least:.3g}" if self.least is not None else f"at most {self.most:.3g}"


def targets(timestep: float) -> list[Target]:
    """The targets of the default directions at the default timestep."""
    own = ("directions", DEFAULT, f"{timestep:g}")
    carried = ("transport", DEFAULT)
    return [
        Target("concentration, of that of smooth random directions", (*own, "concentration / smooth"), 2.2),
        Target("different strongest attributes among 8", (*own, "distinct"), 7),
        Target("off face, of that of smooth random directions", (*own, "off face / smooth"), most=0.85),
        Target("length, of that of smooth random directions", (*own, "length / smooth"), most=1 / 3),
        *(
            Target(f"repeats, {variant}", (*own, f"repeats, {variant}, direction"), 0.9)
            for variant in ("rounding", "seed", "refine")
        ),
        Target("preview: cosine with the edit", ("preview", DEFAULT, f"{timestep:g}"), 0.85),
        Target("transport: success", (*carried, "success"), 0.75),
        Target("transport: success in the best quarter", (*carried, "success in the best quarter"), 0.95),
        Target("transport: rank correlation with the alignment", (*carried, "rank correlation"), 0.8),
        Target("transport of forms: success", (*carried, "success of forms"), 0.5),
        Target(
            "transport of forms: success in the best quarter",
            (*carried, "success in the best quarter of forms"),
            0.7,
        ),
        *(
            Target(f"mask of the {part}: share inside", ("masks", part, "inside"), least)
            for part, least in (("mouth", 0.95), ("eyes", 0.95), ("hair", 0.85), ("shirt", 0.85))
        ),
        Target("mask of the mouth: intended attribute first", ("masks", "mouth", "intended first"), 0.8),
        Target("words: right", ("words", "direction", "right"), 0.9),
        Target("words: first", ("words", "direction", "first"), 0.65),
        Target("words inside their masks: right", ("words", "direction_mask", "right"), 0.9),
        Target(
            "words inside their masks: purity, of that of d_w", ("words", "direction_mask", PURITY_RATIO), 1.3
        ),
        Target("strength: deviation / mean, all timesteps", ("strength", "measured", "all"), most=0.2),
    ]


def find(report: dict[str, Any], path: tuple[str, ...]) -> Number | None:
    """The number at a path of keys, or None where the report has none."""
    part: Any = report
    for key in path:
        if key not in part:
            return None
        part = part[key]
    return part
