"""The report of an evaluation: every number as [value, low, high], from what was measured."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from . import measurements, measures, statistics
from .kinds import KINDS, SMOOTH
from .repeats import VARIANTS
from .statistics import Number
from .store import Store
from .strengths import WAYS
from .targets import PURITY_RATIO
from .transport_report import transport_report
from .worded import RECIPES


def make_report(store: Store) -> dict[str, Any]:
    """Compute the report of a whole evaluation.

    Args:
        store: The cache, with everything that is measured.

    Returns:
        "settings"; "directions"[kind][timestep]; "masks"[part]; "words"[recipe]; "strength"[way][timestep];
        "preview"[kind][timestep]; "transport"[way to carry]. Each number is [value, low, high].
    """
    return {
        "settings": asdict(store.settings),
        "torch": torch.__version__,
        "directions": directions_report(store),
        "masks": masks_report(store),
        "words": words_report(store),
        "strength": strength_report(store),
        "preview": preview_report(store),
        "transport": transport_report(store),
    }


def kinds_at(store: Store, timestep: float) -> dict[str, measurements.Measurement]:
    """The edits that are measured at a timestep: name of the kind, "_guided" at its end -> measurement."""
    if timestep != store.settings.default:
        return {kind: measurements.edits(kind) for kind in measurements.AT_EVERY_TIMESTEP}
    straight = {kind: measurements.edits(kind) for kind in KINDS}
    guided = {f"{kind}_guided": measurements.edits(kind, guided=True) for kind in measurements.GUIDED}
    return straight | guided


def directions_report(store: Store) -> dict[str, Any]:
    """The numbers of each kind at each timestep."""
    report: dict[str, Any] = {}
    for timestep in store.settings.timesteps:
        results = {
            name: _of_faces(store, measurement, timestep)
            for name, measurement in kinds_at(store, timestep).items()
        }
        per_face = {name: _per_face(rows) for name, rows in results.items()}
        for name, values in per_face.items():
            numbers = {measure: statistics.mean(of_faces) for measure, of_faces in values.items()}
            numbers |= {
                f"{measure} / smooth": statistics.ratio(of_faces, per_face[SMOOTH][measure])
                for measure, of_faces in values.items()
                if measure in per_face[SMOOTH] and measure.startswith(COMPARED)
            }
            report.setdefault(name, {})[f"{timestep:g}"] = numbers
    for name, numbers in _repeatability(store).items():
        report[name][f"{store.settings.default:g}"] |= numbers
    return {name: report[name] for name in kinds_at(store, store.settings.default)}


COMPARED = ("concentration", "attributes", "off face", "length")
SHIFT = RECIPES[0]  # d_w itself
SUFFIXES = {"equal_change": "", "equal_length": " at equal length"}


def _of_faces(store: Store, measurement: measurements.Measurement, timestep: float) -> list[dict[str, Any]]:
    return [measurement.read(store, face, timestep) for face in range(store.settings.faces)]


def _per_face(results: list[dict[str, Any]]) -> dict[str, list[float]]:
    """{measure: a value for each face}."""
    values: dict[str, list[float]] = {}
    for result in results:
        for way, suffix in SUFFIXES.items():
            if way not in result:
                continue
            for measure, value in face_values(result[way]).items():
                values.setdefault(measure + suffix, []).append(value)
    return values


def face_values(rows: dict[str, Any]) -> dict[str, float]:
    """The measures of the edits of one face.

    Args:
        rows: As `edits.measure` returns them.

    Returns:
        {measure: the mean over the directions, or for "distinct" a count}.
    """
    change = torch.tensor(rows["change"])
    forms = change[:, list(measures.FORMS)]
    strongest = change.abs().argmax(dim=1)
    are_forms = torch.isin(strongest, torch.tensor(measures.FORMS))
    return {
        "concentration": measures.concentration(change).mean().item(),
        "concentration of forms": measures.concentration(forms).mean().item(),
        "strongest attribute": change.abs().amax(dim=1).mean().item(),
        "strongest form": forms.abs().amax(dim=1).mean().item(),
        "attributes": change.abs().mean().item(),
        "distinct": float(measures.distinct_attributes(change)),
        "distinct forms": float(measures.distinct_attributes(forms)),
        "directions of forms": float(are_forms.sum()),
        "off face": float(np.mean(rows["off_face"])),
        "length": float(np.mean(rows["length"])),
        "change": float(np.mean(rows["got"])),
    }


def _repeatability(store: Store) -> dict[str, dict[str, Number]]:
    """{kind: {"repeats after rounding: span": ...}}."""
    settings, measurement = store.settings, measurements.repeated()
    results = _of_faces(store, measurement, settings.default)
    report: dict[str, dict[str, Number]] = {}
    for kind in results[0]:
        numbers = {}
        for variant in VARIANTS:
            for measure in results[0][kind][variant]:
                values = [result[kind][variant][measure] for result in results]
                numbers[f"repeats, {variant}, {measure}"] = statistics.mean(values)
        report[kind] = numbers
    return report


def preview_report(store: Store) -> dict[str, Any]:
    """The cosine of the change that J0 foretells with the true one: of each kind at each timestep.

    J0 foretells straight moves, so x-space guidance is left out.

    Args:
        store: The cache of the evaluation.

    Returns:
        {kind: {timestep: (value, low, high)}}.
    """
    report: dict[str, Any] = {}
    for timestep in store.settings.timesteps:
        for name, measurement in kinds_at(store, timestep).items():
            if name not in KINDS:
                continue
            results = _of_faces(store, measurement, timestep)
            values = [float(np.mean(result["equal_change"]["preview"])) for result in results]
            report.setdefault(name, {})[f"{timestep:g}"] = statistics.mean(values)
    return report


def masks_report(store: Store) -> dict[str, Any]:
    """The numbers of each part of a face, with masks made of a basis and with the baseline."""
    settings = store.settings
    report: dict[str, Any] = {part: {} for part in settings.parts}
    for baseline, suffix in ((False, ""), (True, " of the null space")):
        results = _of_faces(store, measurements.masked(baseline=baseline), settings.default)
        for part in settings.parts:
            shown = [result[part] for result in results if part in result]
            if not shown:
                continue
            inside = [float(np.mean(rows["inside"])) for rows in shown]
            first = [rows["intended"][0] for rows in shown]
            off_face = [float(np.mean(rows["off_face"])) for rows in shown]
            report[part] |= {
                f"inside{suffix}": statistics.mean(inside),
                f"intended first{suffix}": statistics.mean(first),
                f"off face{suffix}": statistics.mean(off_face),
            }
    return report


def words_report(store: Store) -> dict[str, Any]:
    """The numbers of each recipe for a direction of a word; faces are resampled with all of their words."""
    results = [result for result in _of_faces(store, measurements.worded(), store.settings.default) if result]
    report: dict[str, Any] = {}
    for recipe in results[0]:
        rows = [result[recipe] for result in results]
        report[recipe] = {
            measure: statistics.mean_of_lists([row[measure] for row in rows])
            for measure in ("right", "first", "purity", "outside")
        }
        shifts = [result[SHIFT]["purity"] for result in results]
        report[recipe][PURITY_RATIO] = statistics.ratio_of_lists([row["purity"] for row in rows], shifts)
    return report


def strength_report(store: Store) -> dict[str, Any]:
    """How equal the changes of the finished picture are at strength 1: their deviation over their mean."""
    settings, measurement = store.settings, measurements.strong()
    report: dict[str, Any] = {}
    for way in WAYS:
        everywhere: list[list[float]] = [[] for _ in range(settings.faces)]
        for timestep in settings.timesteps:
            values = [result[way] for result in _of_faces(store, measurement, timestep)]
            for face, some in enumerate(values):
                everywhere[face] += some
            report.setdefault(way, {})[f"{timestep:g}"] = statistics.uniformity(values)
        report[way]["all"] = statistics.uniformity(everywhere)
    return report
