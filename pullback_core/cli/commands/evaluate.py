"""The command `evaluate`."""

import argparse
from pathlib import Path

from ...evaluate import Settings, evaluate
from ...evaluate.targets import find, targets
from ..arguments import add_out
from ..options import backend, jobs, path, whole
from ..writable import require_writable_folder

SUMMARY = "Measure what directions of every kind are worth: one table and one page."
POSITION = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "--faces", type=whole(2, 100_000), default=Settings.faces, help="example faces, from number 0 on"
    )
    parser.add_argument(
        "--jobs", type=jobs, default=1, help="processes (needs joblib); -1 takes all processors"
    )
    parser.add_argument("--backend", type=backend, help="of joblib, for many machines: ray, dask, ...")
    parser.add_argument(
        "--cache", type=path, default=Path("output/evaluate-cache"), help="folder of what is measured already"
    )
    add_out(parser, "output/evaluate")


def run(options: argparse.Namespace) -> None:
    """Run the evaluation, and print what the default directions reach."""
    require_writable_folder(options.out, "--out")
    require_writable_folder(options.cache, "--cache")
    report = evaluate(
        options.out,
        options.cache,
        Settings(faces=options.faces),
        jobs=options.jobs,
        backend=options.backend,
        command=f"python -m pullback_core evaluate --faces {options.faces}",
    )
    for target in targets(Settings.default):
        number = find(report, target.path)
        if number is not None:
            value, low, high = number
            verdict = "reached" if target.is_met(number) else "missed"
            print(f"{verdict:>8}  {value:.2f} [{low:.2f}, {high:.2f}], {target.bound}: {target.title}")
    print(f"Look at {options.out / 'evaluation.md'}; what was measured is kept in {options.cache}.")
