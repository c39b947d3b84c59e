"""How well carried directions do, and whether their alignment foretells it."""

from typing import Any

import numpy as np
import torch

from . import measurements, measures, statistics
from .carried import CARRYING
from .store import Store

BEST_PART = 0.25  # of carried directions: those of the best alignment


def transport_report(store: Store) -> dict[str, Any]:
    """The numbers of each way to carry directions, a key of `CARRYING`."""
    return {name: _transport_of(store, name) for name in CARRYING}


def _transport_of(store: Store, name: str) -> dict[str, Any]:
    settings, timestep = store.settings, store.settings.default
    edits = measurements.edits(CARRYING[name].kind)
    own = [edits.read(store, face, timestep)["equal_change"]["change"] for face in range(settings.faces)]
    pairs, rows = [], []
    for target in range(settings.faces):
        result = measurements.carried(name, settings, target).read(store, target, timestep)
        origins = list(zip(result["source"], result["direction"]))
        wanted = torch.tensor([own[source][index] for source, index in origins])
        success = measures.success(torch.tensor(result["change"]), wanted)
        is_form = torch.isin(wanted.abs().argmax(dim=1), torch.tensor(measures.FORMS))
        pairs += [(source, target) for source in result["source"]]
        rows.append(np.stack([result["alignment"], success, is_form], axis=1))
    return transport_numbers(settings.faces, pairs, np.concatenate(rows))


def transport_numbers(faces: int, pairs: list[tuple[int, int]], rows: np.ndarray) -> dict[str, Any]:
    """Success, and how alignment foretells it, for all directions, for colours and for forms.

    Args:
        faces: The number of faces.
        pairs: (source, target) of each carried direction.
        rows: (carried directions, 3): alignment, success, and 1 where the strongest attribute is a form.

    Returns:
        The numbers as [value, low, high], and "pairs", a count.
    """
    report: dict[str, Any] = {"pairs": len(set(pairs))}
    are_forms = rows[:, 2] == 1
    groups = {"": np.ones_like(are_forms), " of colours": ~are_forms, " of forms": are_forms}
    for name, chosen in groups.items():
        if not chosen.any():
            continue
        some_pairs = [pair for pair, one in zip(pairs, chosen) if one]
        for measure, statistic in MEASURES.items():
            report[measure + name] = statistics.of_pairs(faces, some_pairs, rows[chosen], statistic)
    return report


def _mean_success(rows: np.ndarray) -> float:
    return float(rows[:, 1].mean())


def _mean_alignment(rows: np.ndarray) -> float:
    return float(rows[:, 0].mean())


def _best_success(rows: np.ndarray) -> float:
    least = np.quantile(rows[:, 0], 1 - BEST_PART)
    return float(rows[rows[:, 0] >= least, 1].mean())


def _foretold(rows: np.ndarray) -> float:
    return statistics.rank_correlation(rows[:, 0], rows[:, 1])


MEASURES = {
    "success": _mean_success,
    "alignment": _mean_alignment,
    "success in the best quarter": _best_success,
    "rank correlation": _foretold,
}
