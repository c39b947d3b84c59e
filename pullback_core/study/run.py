"""Run a study: measure what is missing, then write figures, tables and the page of findings."""

import csv
import io
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import torch
from tqdm import tqdm

from .. import figures
from ..atomic import write_atomically
from ..report import report_bytes
from ..threads import one_thread
from .findings import all_findings
from .measure import Settings, Store, basis_tasks, edit_tasks

VERDICTS = {
    "holds": "Holds here.",
    "is contradicted": "Contradicted here.",
    "is undecided": "Undecided here.",
}


def run_study(out, cache, settings=None, *, jobs=1, backend=None, command="python -m pullback_core study"):
    """Measure, and write findings.md, report.json, one PNG and one CSV for each finding into `out`.

    cache: the folder of what was measured; an interrupted study goes on from it.
    jobs: processes of one thread each, run by joblib; 1 needs none of it, -1 takes all processors. backend: another one that
    joblib knows, such as "ray" or "dask", for many machines; they must share the cache folder.
    command: what the page says it was made with. Returns the list of `Finding`s.
    Raises, before anything is measured, ValueError for jobs or a backend that cannot serve, and `figures.MissingMatplotlib`.
    """
    figures.require_matplotlib()
    store = Store(cache, settings or Settings())
    with one_thread(), _workers(jobs, backend):
        _run(basis_tasks(store), "bases, by sample", jobs, backend)
        _run(edit_tasks(store), "carried edits, by sample", jobs, backend)
        findings = all_findings(store)
    out = Path(out)
    for finding in findings:
        table = io.StringIO()
        writer = csv.DictWriter(table, list(finding.table[0]))
        writer.writeheader()
        writer.writerows(finding.table)
        figures.save_picture(finding.figure, out / f"{finding.name}.png")
        write_atomically(out / f"{finding.name}.csv", table.getvalue().encode())
    report = {
        "settings": asdict(store.settings),
        "torch": torch.__version__,
        "findings": {
            finding.name: {
                "claim": finding.claim,
                "measure": finding.measure,
                "value": finding.number[0],
                "low": finding.number[1],
                "high": finding.number[2],
                "supports_if": "above" if finding.sign > 0 else "below",
                "neutral": finding.neutral,
                "verdict": finding.verdict,
            }
            for finding in findings
        },
    }
    write_atomically(out / "report.json", report_bytes(report))
    write_atomically(out / "findings.md", _page(findings, store.settings, command).encode())
    return findings


def _run(tasks, name, jobs, backend):
    if not tasks:
        return
    if jobs == 1:
        done = (function(*arguments) for function, arguments in tasks)
    else:
        done = _parallel(tasks, jobs, backend)
    for _ in tqdm(done, name, len(tasks)):
        pass


def _workers(jobs, backend):
    """A context in which joblib uses a backend. Raises ValueError where that cannot be."""
    if jobs == 0:
        raise ValueError("The jobs are 1 or more processes, or -1 for all processors, got 0.")
    if jobs == 1 and backend is None:
        return nullcontext()
    try:
        import joblib

        if backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
        context = joblib.parallel_config("loky" if backend is None else backend)
    except ImportError as error:
        raise ValueError(
            f"More than one job needs joblib, and its backend; {error.name} is not installed. Or use one job."
        ) from error
    except (
        ValueError,
        KeyError,
        TypeError,
    ) as error:  # of joblib, for a backend that it does not know, or that is not running
        reason = " ".join(str(error).split())
        raise ValueError(
            f"The backend {backend!r} cannot be used ({reason}); choose another one, or none."
        ) from error
    if jobs == 1:
        print(
            f"One job runs in this process, so the backend {backend!r} is not used; choose more --jobs to use it."
        )
    return context


def _parallel(tasks, jobs, backend):
    import joblib

    # Backends for many machines cannot hand out results one by one, so there joblib reports the progress itself.
    how = {"verbose": 10} if backend else {"return_as": "generator_unordered"}
    threads = torch.get_num_threads()  # one, or what the user has set
    return joblib.Parallel(n_jobs=jobs, **how)(
        joblib.delayed(_with_threads)(threads, *task) for task in tasks
    )


def _with_threads(threads, function, arguments):
    torch.set_num_threads(threads)
    return function(*arguments)


def _page(findings, settings, command):
    lines = [
        "# Findings",
        "",
        "The claims of Park et al. 2023 (sections 3 and 4) about local bases, measured on the bundled models of drawn faces. Made by",
        "",
        f"    {command}",
        "",
        f"{settings.samples} samples from noise of the seeds 0 to {settings.samples - 1}, {settings.steps} DDIM steps, bases of rank "
        f"{settings.rank} to residuals of {settings.tolerance:g}. Brackets: 95% bootstrap intervals over samples. A claim *holds* if its "
        "interval lies on the claimed side, is *contradicted* if on the other, and else *undecided*. Prompts, blocks and long "
        f"spectra: the first {settings.few} samples.",
        "",
        "| claim | verdict | number |",
        "|---|---|---|",
    ]
    for finding in findings:
        lines.append(
            f"| [{finding.title}](#{_anchor(finding.title)}) | {finding.verdict} | {finding.shown} |"
        )
    for finding in findings:
        side = "more" if finding.sign > 0 else "less"
        says = f"**{VERDICTS[finding.verdict]}** {finding.shown}: {finding.measure}; the claim says {side} than {finding.neutral:g}."
        lines += ["", f"## {finding.title}", "", finding.claim, "", says, ""]
        if finding.remarks:
            lines += [finding.remarks, ""]
        lines.append(f"![{finding.title}]({finding.name}.png) ([table]({finding.name}.csv))")
    return "\n".join(lines) + "\n"


def _anchor(title):
    return "".join(letter for letter in title.lower().replace(" ", "-") if letter.isalnum() or letter == "-")
