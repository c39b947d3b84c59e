"""The command `train`."""

import argparse
from pathlib import Path

from ... import faces
from ..options import LEARNING_RATE, SEED, path, shorten, whole
from ..writable import require_writable_file

SUMMARY = "Train the bundled model again (hours on a CPU; resumes where it stopped)."
POSITION = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    defaults = faces.TrainingOptions
    parser.add_argument("--steps", type=whole(1, 10_000_000), default=defaults.steps)
    parser.add_argument("--batch", type=whole(4, 65_536), default=defaults.batch)
    parser.add_argument(
        "--workers", type=whole(1, 256), default=defaults.workers, help="processes of one thread each"
    )
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--learning-rate", type=LEARNING_RATE, default=defaults.learning_rate)
    parser.add_argument(
        "--data",
        choices=list(faces.DATA),
        default="faces",
        help="which drawings; expressions are one person's",
    )
    parser.add_argument("--start", type=path, metavar="FILE", help="a finished model to begin with")
    parser.add_argument(
        "--bf16", action="store_true", help="compute in bfloat16: faster on processors that have it"
    )
    parser.add_argument("--checkpoint", type=path, default=Path("output/train/checkpoint.pt"))
    parser.add_argument(
        "--out", type=path, default=Path("output/train/faces.safetensors"), help="the finished model"
    )


def run(options: argparse.Namespace) -> None:
    """Train a model, and save it."""
    settings = faces.TrainingOptions(
        steps=options.steps,
        batch=options.batch,
        workers=options.workers,
        learning_rate=options.learning_rate,
        seed=options.seed,
        data=options.data,
        start=options.start,
        bf16=options.bf16,
    )
    require_writable_file(options.checkpoint, "--checkpoint")
    require_writable_file(options.out, "--out")
    if options.checkpoint.resolve() == options.out.resolve():
        raise ValueError(f"--checkpoint and --out are both {shorten(options.out)}; choose two files.")
    model = faces.train_model(options.checkpoint, settings)
    faces.save_model(model, options.out)
    print(
        f"Saved the model to {options.out}; try it with: python -m pullback_core edit --model {options.out}"
    )
