"""Claims: directions carry over near T, and alignment foretells success.

A direction is carried from a source sample to a target sample. Its success is the cosine of two changes of
the attributes: the change in the source along the direction, and the change in the target along the carried
one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL.Image import Image as Picture

from ... import faces, figures
from ..settings import Settings
from ..store import Store
from .drawing import BLUE, GREY, ORANGE, empty_figure
from .finding import Finding, Interval
from .statistics import bootstrap, rank_correlation

Rows = list[dict[str, Any]]  # one for each carried direction


def carried_edits(store: Store, timestep: float) -> Rows:
    """List every direction that was carried over at one timestep, with its alignment and success."""
    edits = [store.edits(target, timestep) for target in range(store.settings.samples)]
    rows = []
    for target, edit in enumerate(edits):
        for carried in edit["carried"]:
            own = edits[carried["source"]]["own"][carried["direction"]]
            rows.append(
                {
                    "timestep": timestep,
                    "source": carried["source"],
                    "target": target,
                    "direction": carried["direction"] + 1,
                    "alignment": carried["alignment"],
                    "success": _cosine(np.array(own), np.array(carried["change"])),
                }
            )
    return rows


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def _over_targets(rows: Rows, statistic: Callable[[np.ndarray, np.ndarray], float], samples: int) -> Interval:
    """A statistic(alignment, success) of carried directions, resampling targets."""
    columns = np.array([(row["target"], row["alignment"], row["success"]) for row in rows])
    members = [columns[columns[:, 0] == target, 1:] for target in range(samples)]

    def of_targets(indices: np.ndarray) -> float:
        alignment, success = np.concatenate([members[index] for index in indices]).T
        return statistic(alignment, success)

    return bootstrap(samples, of_targets)


def _mean_success(alignment: np.ndarray, success: np.ndarray) -> float:
    return success.mean()


def _mean_alignment(alignment: np.ndarray, success: np.ndarray) -> float:
    return alignment.mean()


def transport_over_time(settings: Settings, carried: dict[float, Rows]) -> Finding:
    """How well carried directions do at an early and a late timestep."""
    successes, alignments = {}, {}
    rows: Rows = []
    for timestep, part in carried.items():
        successes[timestep] = _over_targets(part, _mean_success, settings.samples)
        alignments[timestep] = _over_targets(part, _mean_alignment, settings.samples)
        for name, number in (("success", successes[timestep]), ("alignment", alignments[timestep])):
            rows.append(
                {
                    "timestep": timestep,
                    "of": name,
                    "mean": number.value,
                    "low": number.low,
                    "high": number.high,
                }
            )
    early, late = settings.early, settings.late
    return Finding(
        name="transport_over_time",
        title="Directions carry over near T",
        claim="Near T a direction carried to another sample makes the same change there.",
        measure=f"mean success at {early:g} T",
        number=successes[early],
        sign=+1,
        neutral=0.0,
        remarks=f"At {late:g} T it is {successes[late]}. Chance is 0, the same change 1. The mean alignment "
        f"is {alignments[early]} at {early:g} T and {alignments[late]} at {late:g} T.",
        figure=_figure_over_time(successes, alignments),
        table=rows,
    )


def _figure_over_time(successes: dict[float, Interval], alignments: dict[float, Interval]) -> Picture:
    figure, axes = empty_figure("Directions carried to other samples", "", "mean", xlim=(-0.5, 1.5))
    for numbers, color, name in ((successes, BLUE, "success"), (alignments, ORANGE, "alignment")):
        value, low, high = np.transpose(list(numbers.values()))
        errors = (value - low, high - value)
        axes.errorbar(range(2), value, errors, fmt="o", color=color, capsize=4, label=name)
    axes.axhline(0, color=GREY, ls="--")
    axes.set_xticks(range(2), [f"{timestep:g} T" for timestep in successes])
    axes.legend(frameon=False)
    return figures.figure_to_pil(figure)


def transport_alignment(settings: Settings, carried: dict[float, Rows]) -> Finding:
    """How the success of a carried direction depends on its alignment."""
    early, late = carried[settings.early], carried[settings.late]
    rows = early + late
    best = np.quantile([row["alignment"] for row in rows], 0.9)
    success = np.mean([row["success"] for row in rows if row["alignment"] >= best])
    return Finding(
        name="transport_alignment",
        title="Alignment foretells success",
        claim="A direction carried to another sample makes the same change there if its alignment is high.",
        measure=f"rank correlation of alignment and success over {len(rows)} carried directions; success is "
        f"the cosine of the changes of {len(faces.NAMES)} attributes, as the regressor reads them, in source "
        "and target",
        number=_over_targets(rows, rank_correlation, settings.samples),
        sign=+1,
        neutral=0.0,
        remarks=f"In the tenth with the best alignment (from {best:.2f}) the mean success is {success:.2f}. "
        "Chance is 0, the same change 1.",
        figure=_figure_of_alignment(early, late),
        table=rows,
    )


def _figure_of_alignment(early: Rows, late: Rows) -> Picture:
    figure, axes = empty_figure(
        "Carried over: the same change?", "alignment", "cosine of the changes of attributes"
    )
    for rows, color, name in ((early, BLUE, "early"), (late, ORANGE, "late")):
        alignment = [row["alignment"] for row in rows]
        success = [row["success"] for row in rows]
        label = f"{name}, {rows[0]['timestep']:g} T"
        axes.plot(alignment, success, "o", ms=3, alpha=0.5, color=color, label=label)
    axes.axhline(0, color=GREY, ls="--")
    axes.legend(frameon=False)
    return figures.figure_to_pil(figure)
