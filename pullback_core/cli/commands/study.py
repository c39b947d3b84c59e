"""The command `study`."""

import argparse
from pathlib import Path

from ...study import Settings, run_study
from ..arguments import add_out
from ..options import backend, jobs, path, whole
from ..writable import require_writable_folder

SUMMARY = "Repeat the paper's analyses on the bundled models: figures, tables and a page of findings."
POSITION = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "--samples", type=whole(3, 100_000), default=Settings.samples, help="random samples of each model"
    )
    parser.add_argument(
        "--jobs", type=jobs, default=1, help="processes (needs joblib); -1 takes all processors"
    )
    parser.add_argument("--backend", type=backend, help="of joblib, for many machines: ray, dask, ...")
    parser.add_argument(
        "--cache", type=path, default=Path("output/study-cache"), help="folder of what is measured already"
    )
    add_out(parser, "output/study")


def run(options: argparse.Namespace) -> None:
    """Run the study, and print the verdict on each claim."""
    require_writable_folder(options.out, "--out")
    require_writable_folder(options.cache, "--cache")
    findings = run_study(
        options.out,
        options.cache,
        Settings(samples=options.samples),
        jobs=options.jobs,
        backend=options.backend,
        command=f"python -m pullback_core study --samples {options.samples}",
    )
    for finding in findings:
        print(f"{finding.verdict:>12}  {finding.title}")
    print(f"Look at {options.out / 'findings.md'}; what was measured is kept in {options.cache}.")
