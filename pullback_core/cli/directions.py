"""Which directions a command follows: their options, and the basis that the options ask for."""

import argparse

from ..models.denoiser import PICTURE
from .session import DEFAULT_FEATURE


def add_feature(parser: argparse.ArgumentParser) -> None:
    """Add the argument --feature."""
    parser.add_argument(
        "--feature",
        default=DEFAULT_FEATURE,
        metavar="NAME",
        help=f"what the directions change most: {PICTURE!r}, the predicted picture, or a block of the network; "
        "'middle' is the paper's bottleneck",
    )
