"""Arguments that several commands share."""

import argparse
from pathlib import Path

from .. import faces
from .options import BOOST, COUNT, SEED, STEPS, STRENGTH, TIMESTEP, TOLERANCE, path, prompt, shorten, whole
from .session import GUIDANCE_UNIT, PICTURE_UNIT

GUIDANCE_STEPS = 16


def add_inversion(parser: argparse.ArgumentParser, timestep: float | None) -> None:
    """Add the arguments of an inversion: --prompt, --timestep, --steps, --refine and --model.

    Args:
        parser: The parser of the command.
        timestep: The default of --timestep. None leaves this argument out.
    """
    parser.add_argument(
        "--prompt",
        type=prompt,
        default="",
        help='what the picture shows, "glasses, smiling"; empty for anything',
    )
    if timestep is not None:
        parser.add_argument(
            "--timestep",
            type=TIMESTEP,
            default=timestep,
            help="how noisy, as a fraction of T, above 0 and at most 1",
        )
    parser.add_argument("--steps", type=STEPS, default=50, help="DDIM steps over the whole of T")
    parser.add_argument(
        "--refine", type=whole(0, 1000), default=6, help="fixed-point corrections of each inversion step"
    )
    parser.add_argument("--model", type=path, default=faces.WEIGHTS, help="the model file")


def add_edit(parser: argparse.ArgumentParser, rank: int = 8) -> None:
    """Add the arguments of a basis and of the edits along it: --rank to --seed.

    Args:
        parser: The parser of the command.
        rank: The default of --rank.
    """
    parser.add_argument("--rank", type=COUNT, default=rank, help="how many directions to find")
    parser.add_argument("--tolerance", type=TOLERANCE, default=1e-2, help="largest residual of a direction")
    parser.add_argument("--strength", type=STRENGTH, default=1.0, help="how far to go; 1 is clearly visible")
    parser.add_argument(
        "--guidance-steps",
        type=STEPS,
        default=GUIDANCE_STEPS,
        help=f"repetitions of x-space guidance, {GUIDANCE_STEPS} if not given",
    )
    parser.add_argument(
        "--boost", type=BOOST, default=0.0, help="quality boosting (eta 1) below this fraction of T; try 0.2"
    )
    parser.add_argument("--seed", type=SEED, default=0)


def add_unit(parser: argparse.ArgumentParser) -> None:
    """Add the argument --unit. Call it after `add_edit`.

    Args:
        parser: The parser of the command.
    """
    parser.add_argument(
        "--unit",
        choices=[PICTURE_UNIT, GUIDANCE_UNIT],
        default=PICTURE_UNIT,
        help=f"what --strength counts: {PICTURE_UNIT}, how much the picture changes, by straight moves; "
        f"{GUIDANCE_UNIT}, the paper's x-space guidance",
    )
    parser.set_defaults(guidance_steps=None)


def require_unit(options: argparse.Namespace) -> None:
    """Refuse options that do not belong to the unit. Sets --guidance-steps where it is not given.

    Args:
        options: The options of a command with `add_unit`.

    Raises:
        ValueError: --guidance-steps is given, and the unit is not that of x-space guidance.
    """
    if options.guidance_steps is None:
        options.guidance_steps = GUIDANCE_STEPS
    elif options.unit != GUIDANCE_UNIT:
        raise ValueError(
            f"--guidance-steps belongs to --unit {GUIDANCE_UNIT}, and the unit is {options.unit!r}; "
            "leave one of them out."
        )


def add_out(parser: argparse.ArgumentParser, folder: str) -> None:
    """Add the argument --out.

    Args:
        parser: The parser of the command.
        folder: The default.
    """
    parser.add_argument("--out", type=path, default=Path(folder), help="folder for the results")


def require_directions(numbers: list[int], rank: int) -> None:
    """Check the numbers of --direction.

    Args:
        numbers: The numbers of directions, counted from 1.
        rank: How many directions there will be.

    Raises:
        ValueError: There will be no such direction.
    """
    for number in numbers:
        if not 1 <= number <= rank:
            raise ValueError(
                f"--direction must be from 1 to the rank, {shorten(rank)}, got {shorten(number)}."
            )
