"""Run a study: measure what is missing, then write figures, tables and the page of findings."""

import csv
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from .. import figures
from ..atomic import write_atomically
from ..jobs import joblib_context, run_tasks
from ..report import report_bytes
from ..threads import one_thread
from .findings import Finding, all_findings
from .measure import basis_tasks, edit_tasks
from .page import findings_page
from .settings import Settings
from .store import Store


def run_study(
    out: str | Path,
    cache: str | Path,
    settings: Settings | None = None,
    *,
    jobs: int = 1,
    backend: str | None = None,
    command: str = "python -m pullback_core study",
) -> list[Finding]:
    """Measure, and write findings.md, report.json, and a PNG and a CSV file for each finding.

    Args:
        out: The folder of the results.
        cache: The folder of what is measured. An interrupted study goes on from it.
        settings: The size of the study. None takes the defaults.
        jobs: Processes of one thread each, run by joblib. 1 needs no joblib, -1 takes all processors.
        backend: A joblib backend for many machines, such as "ray" or "dask". The machines must share the
            cache folder.
        command: The command that the page names.

    Returns:
        The findings.

    Raises:
        ValueError: The jobs or the backend cannot be used. Nothing was measured.
        MissingMatplotlib: Plots cannot be drawn. Nothing was measured.
    """
    figures.require_matplotlib()
    store = Store(cache, settings or Settings())
    with one_thread(), joblib_context(jobs, backend):
        run_tasks(basis_tasks(store), "bases, by sample", jobs=jobs, backend=backend)
        run_tasks(edit_tasks(store), "carried edits, by sample", jobs=jobs, backend=backend)
        findings = all_findings(store)
    out = Path(out)
    for finding in findings:
        figures.save_picture(finding.figure, out / f"{finding.name}.png")
        write_atomically(out / f"{finding.name}.csv", _csv(finding.table))
    write_atomically(out / "report.json", report_bytes(_report(findings, store.settings)))
    write_atomically(out / "findings.md", findings_page(findings, store.settings, command).encode())
    return findings


def _csv(rows: list[dict[str, Any]]) -> bytes:
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return table.getvalue().encode()


def _report(findings: list[Finding], settings: Settings) -> dict[str, Any]:
    return {
        "settings": asdict(settings),
        "torch": torch.__version__,
        "findings": {
            finding.name: {
                "claim": finding.claim,
                "measure": finding.measure,
                "value": finding.number.value,
                "low": finding.number.low,
                "high": finding.number.high,
                "supports_if": "above" if finding.sign > 0 else "below",
                "neutral": finding.neutral,
                "verdict": finding.verdict,
            }
            for finding in findings
        },
    }
