"""Everything that is measured on one face at one timestep, and the tasks that measure what is missing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..jobs import Task
from .carried import CARRYING, carried_changes
from .edits import guided_edits, straight_edits
from .kinds import DEFAULT, KINDS, SMOOTH
from .point import Point
from .regions import masked_edits
from .repeats import repeats
from .settings import Settings
from .store import Store, code_fingerprint
from .strengths import strengths
from .worded import worded_edits

AT_EVERY_TIMESTEP = ("h", "picture", DEFAULT, SMOOTH)
GUIDED = ("h", "h_rotated", "picture", DEFAULT)
REPEATED = ("h", "h_rotated", "picture", DEFAULT)

EDITS = ("evaluate/edits.py", "evaluate/moves.py", "evaluate/measures.py")
CARRIED = (
    "evaluate/carried.py",
    "evaluate/moves.py",
    "transport.py",
    "directions/carrying.py",
    "directions/alignment.py",
)
MASKED = (
    "evaluate/regions.py",
    "evaluate/parts.py",
    "evaluate/baselines.py",
    "directions/masks.py",
    "local_basis.py",
)
STRONG = ("evaluate/strengths.py", "directions/strength.py", "directions/seen.py", "directions/ray.py")
WORDED = (
    "evaluate/worded.py",
    "directions/words.py",
    "directions/shifts.py",
    "directions/strength.py",
    "local_basis.py",
)
ROTATED = ("directions/rotation.py", "directions/sums.py")
AVERAGED = ("directions/averaging.py", "linalg/stacked.py")


class Measurement(NamedTuple):
    """One thing that is measured on one face at one timestep.

    Attributes:
        name: Its name. The part before the comma starts the names of its files.
        compute: The function that measures it at a `Point`.
        arguments: Further arguments of the function.
        code: The files that determine the result, apart from weights and settings.
    """

    name: str
    compute: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]
    code: tuple[str, ...]

    def path(self, store: Store, face: int, timestep: float) -> Path:
        """The file of the result.

        Args:
            store: The cache.
            face: The number of the face.
            timestep: A fraction of T.

        Returns:
            The path. The file need not exist.
        """
        name = f"{self.name}, {self.arguments}"
        return store.path(name, code_fingerprint(*self.code), face, timestep)

    def read(self, store: Store, face: int, timestep: float) -> dict[str, Any]:
        """Read the result, which must be in the cache.

        Args:
            store: The cache.
            face: The number of the face.
            timestep: A fraction of T.

        Returns:
            The result.
        """
        return store.read(self.path(store, face, timestep))


def edits(kind: str, *, guided: bool = False) -> Measurement:
    """The edits along the directions of a kind.

    Args:
        kind: A key of `KINDS`.
        guided: By x-space guidance, and not by straight moves.

    Returns:
        The measurement.
    """
    if guided:
        return Measurement("guided", guided_edits, (kind,), (*EDITS, *code_of(kind)))
    return Measurement("straight", straight_edits, (kind,), (*EDITS, *code_of(kind)))


def carried(name: str, settings: Settings, face: int) -> Measurement:
    """The changes along the directions that are carried to a face.

    Args:
        name: A key of `CARRYING`.
        settings: They say from which faces.
        face: The number of the face.

    Returns:
        The measurement.
    """
    arguments = (name, tuple(settings.sources_of(face)))
    return Measurement("carried", carried_changes, arguments, (*CARRIED, *code_of(CARRYING[name].kind)))


def masked(*, baseline: bool) -> Measurement:
    """The edits of the parts of the face.

    Args:
        baseline: Directions of `baselines.null_space_basis`, and not of `masked_basis`.

    Returns:
        The measurement.
    """
    return Measurement("masks", masked_edits, (baseline,), MASKED)


def worded() -> Measurement:
    """The edits along directions of words."""
    return Measurement("words", worded_edits, (), WORDED)


def strong() -> Measurement:
    """The changes at strength 1."""
    return Measurement("strengths", strengths, (DEFAULT,), (*STRONG, *code_of(DEFAULT)))


def repeated() -> Measurement:
    """How well the directions come again."""
    return Measurement("repeats", repeats, (REPEATED,), ("evaluate/repeats.py", "local_basis.py", *ROTATED))


def all_measurements(settings: Settings, face: int, timestep: float) -> list[Measurement]:
    """Everything that is measured on a face at a timestep.

    Args:
        settings: The size of the evaluation.
        face: The number of the face.
        timestep: A fraction of T.

    Returns:
        The measurements.
    """
    if timestep != settings.default:
        return [*(edits(kind) for kind in AT_EVERY_TIMESTEP), strong()]
    return [
        *(edits(kind) for kind in KINDS),
        *(edits(kind, guided=True) for kind in GUIDED),
        repeated(),
        strong(),
        masked(baseline=False),
        masked(baseline=True),
        worded(),
        *(carried(name, settings, face) for name in CARRYING),
    ]


def tasks(store: Store) -> list[Task]:
    """The tasks that measure what is missing in the cache, one for each face and timestep.

    Args:
        store: The cache.

    Returns:
        The tasks, which are independent of each other.
    """
    settings = store.settings
    others = [timestep for timestep in settings.timesteps if timestep != settings.default]
    return [
        (measure_point, (store, face, timestep))
        for timestep in (settings.default, *others)
        for face in range(settings.faces)
        if _missing(store, face, timestep)
    ]


def measure_point(store: Store, face: int, timestep: float) -> None:
    """Measure what is missing on one face at one timestep, and write each result as soon as it is there.

    Args:
        store: The cache.
        face: The number of the face.
        timestep: A fraction of T.
    """
    missing = _missing(store, face, timestep)
    if not missing:
        return
    point = Point(store, face, timestep)
    for measurement in missing:
        result = measurement.compute(point, *measurement.arguments)
        store.write(measurement.path(store, face, timestep), result)


def _missing(store: Store, face: int, timestep: float) -> list[Measurement]:
    return [
        measurement
        for measurement in all_measurements(store.settings, face, timestep)
        if not measurement.path(store, face, timestep).exists()
    ]


def code_of(kind: str) -> tuple[str, ...]:
    """The files that determine the directions of a kind."""
    search, rotated = KINDS[kind].search, KINDS[kind].rotated
    if search is None:
        return ("evaluate/kinds.py",)
    files = ("local_basis.py", *(AVERAGED if search.averaged else ()))
    return (*files, *ROTATED) if rotated else files
