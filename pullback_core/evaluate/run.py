"""Run an evaluation: measure what is missing, then write the report, the pictures and the page."""

from pathlib import Path
from typing import Any

from .. import figures
from ..atomic import write_atomically
from ..jobs import joblib_context, run_tasks
from ..report import report_bytes
from ..threads import one_thread
from . import measurements
from .page import evaluation_page
from .report import make_report
from .settings import Settings
from .sheets import kinds_sheet
from .store import Store

SHOWN_FACES = (3, 6)  # with pictures on the page; other numbers where there are fewer faces
PICTURES = "evaluation"  # the folder of the pictures, beside the page


def evaluate(
    out: str | Path,
    cache: str | Path,
    settings: Settings | None = None,
    *,
    jobs: int = 1,
    backend: str | None = None,
    command: str = "python -m pullback_core evaluate",
) -> dict[str, Any]:
    """Measure what directions are worth, and write evaluation.md, report.json and pictures.

    Args:
        out: The folder of evaluation.md, and of a folder "evaluation" with report.json and the pictures.
        cache: The folder of what is measured. An interrupted evaluation goes on from it.
        settings: The size of the evaluation. None takes the defaults.
        jobs: Processes of one thread each, run by joblib. 1 needs no joblib, -1 takes all processors.
        backend: A joblib backend for many machines, such as "ray" or "dask". The machines must share the
            cache folder.
        command: The command that the page names.

    Returns:
        The report, see `report.make_report`.

    Raises:
        ValueError: The jobs or the backend cannot be used. Nothing was measured.
    """
    store = Store(cache, settings or Settings())
    with one_thread(), joblib_context(jobs, backend):
        run_tasks(measurements.tasks(store), "faces and timesteps", jobs=jobs, backend=backend)
        report = make_report(store)
        shown = sorted({min(face, store.settings.faces - 1) for face in SHOWN_FACES})
        folder = Path(out) / PICTURES
        for face in shown:
            figures.save_picture(kinds_sheet(store, face), folder / f"face_{face}.png")
    write_atomically(folder / "report.json", report_bytes(report))
    pictures = [f"{PICTURES}/face_{face}.png" for face in shown]
    page = evaluation_page(report, store.settings, command, pictures)
    write_atomically(Path(out) / "evaluation.md", page.encode())
    return report
