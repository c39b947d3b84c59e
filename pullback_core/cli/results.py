"""The report and the files of results that a command writes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image as Picture

from .. import figures
from ..atomic import write_atomically
from ..basis import PullbackBasis
from ..report import report_bytes
from .session import Session

COLUMNS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # the strengths of a contact sheet, as multiples of --strength


def strength_headings(strengths: list[float]) -> list[str]:
    """The headings of strengths in a contact sheet. They are also parts of file names."""
    return figures.number_labels(strengths, digits=6, sign=True)


def cell_width(image: torch.Tensor, width: int = 128) -> int:
    """The width of an image (3, h, w) on a contact sheet, in pixels. A flat image is shown wider."""
    height, length = image.shape[1:]
    return round(width * max(1.0, length / height) ** 0.5)


def plot_or_message(draw: Callable[..., Picture], *arguments: Any) -> Picture | None:
    """Draw a plot. Without matplotlib print a line that says so, because the other results are worth keeping.

    Args:
        draw: A function of `figures`.
        *arguments: Its arguments.

    Returns:
        The plot, or None without matplotlib.
    """
    try:
        return draw(*arguments)
    except figures.MissingMatplotlib as error:
        print(error)
        return None


def make_report(
    session: Session, parameters: Mapping[str, Any], basis: PullbackBasis | None = None, **numbers: Any
) -> dict[str, Any]:
    """Collect what report.json says.

    Args:
        session: The run.
        parameters: The options of the command, by name.
        basis: A basis whose numbers belong in the report.
        **numbers: What this command found out.

    Returns:
        The report, for `write_results`.
    """
    report: dict[str, Any] = {
        "parameters": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in parameters.items()
            if name != "run"
        },
        "model": session.denoiser.provenance["model"],
        "sigma": session.sigma,
    }
    if basis:
        report |= {
            "singular_values": basis.s.tolist(),
            "residuals": basis.residuals.tolist(),
            "jacobian_products": basis.products,
            "converged": basis.converged,
        }
    return (
        report
        | numbers
        | {"seconds": session.seconds, "torch": torch.__version__, "threads": torch.get_num_threads()}
    )


def write_results(
    out: Path,
    pictures: Mapping[str, Picture | None],
    report: Mapping[str, Any],
    bases: Mapping[str, PullbackBasis] | None = None,
) -> None:
    """Write all results at the end of a command, each file complete. An interrupt leaves nothing half done.

    Args:
        out: The folder.
        pictures: Pictures by file name. The first one sums up the results. None is a plot that could not be
            drawn.
        report: The result of `make_report`.
        bases: Bases by file name.

    Raises:
        OSError: The system refuses, see `write_atomically`.
    """
    drawn = {name: picture for name, picture in pictures.items() if picture is not None}
    for name, picture in drawn.items():
        figures.save_picture(picture, out / name)
    for name, basis in (bases or {}).items():
        basis.save(out / name)
    write_atomically(out / "report.json", report_bytes(report))
    total = sum(report["seconds"].values())
    summary = out / next(iter(drawn), "report.json")
    print(f"Done in {total:.0f} s. Look at {summary}; figures and parameters are in {out / 'report.json'}.")
