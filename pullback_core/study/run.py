"""Run a study: measure what is missing, then write figures, tables and the page of findings."""

import csv
import io
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .. import figures
from ..atomic import write_atomically
from ..report import report_bytes
from ..threads import one_thread
from .findings import Finding, all_findings
from .measure import Task, basis_tasks, edit_tasks
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
    with one_thread(), _joblib_context(jobs, backend):
        _run(basis_tasks(store), "bases, by sample", jobs, backend)
        _run(edit_tasks(store), "carried edits, by sample", jobs, backend)
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


def _run(tasks: list[Task], name: str, jobs: int, backend: str | None) -> None:
    if not tasks:
        return
    done = _in_this_process(tasks) if jobs == 1 else _in_parallel(tasks, jobs, backend)
    for _ in tqdm(done, name, len(tasks)):
        pass


def _in_this_process(tasks: list[Task]) -> Iterable[None]:
    for function, arguments in tasks:
        yield function(*arguments)


def _in_parallel(tasks: list[Task], jobs: int, backend: str | None) -> Iterable[None]:
    import joblib

    # Backends for many machines cannot return results one by one. There joblib itself reports the progress.
    options: dict[str, Any] = {"verbose": 10} if backend else {"return_as": "generator_unordered"}
    threads = torch.get_num_threads()  # one, or the number that the user has set
    calls = (joblib.delayed(_with_threads)(threads, *task) for task in tasks)
    return joblib.Parallel(n_jobs=jobs, **options)(calls)


def _with_threads(threads: int, function: Any, arguments: tuple) -> None:
    torch.set_num_threads(threads)
    function(*arguments)


def _joblib_context(jobs: int, backend: str | None) -> AbstractContextManager:
    """A context in which joblib uses a backend. Raises ValueError where that is not possible."""
    if jobs == 0:
        raise ValueError("The jobs are 1 or more processes, or -1 for all processors, got 0.")
    if jobs == 1 and backend is None:
        return nullcontext()
    try:
        context = _configured_joblib("loky" if backend is None else backend)
    except ImportError as error:
        raise ValueError(
            f"More than one job needs joblib, and its backend; {error.name} is not installed. Or use one job."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        # joblib raises one of these for a backend that it does not know or that is not running.
        reason = " ".join(str(error).split())
        raise ValueError(
            f"The backend {backend!r} cannot be used ({reason}); choose another one, or none."
        ) from error
    if jobs == 1:
        print(
            f"One job runs in this process, so the backend {backend!r} is not used; "
            "choose more --jobs to use it."
        )
    return context


def _configured_joblib(backend: str) -> AbstractContextManager:
    import joblib

    if backend == "ray":
        from ray.util.joblib import register_ray  # pyright: ignore[reportMissingImports]

        register_ray()
    return joblib.parallel_config(backend)
