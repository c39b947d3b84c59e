"""Which directions a command follows: their options, and the basis that the options ask for."""

import argparse
from typing import NamedTuple

import torch

from .. import faces
from ..basis import PullbackBasis
from ..directions.averaging import renoised
from ..directions.pictures import with_pictures
from ..directions.rotation import rotated_basis
from ..models.denoiser import PICTURE
from ..noisy import NoisyLatent
from .options import whole
from .session import Session

RANK = 16  # directions that a search finds; turned, they are as many things


class Found(NamedTuple):
    """The directions that a command follows.

    Attributes:
        basis: The directions.
        searched: The basis that the search found, of which they are made.
    """

    basis: PullbackBasis
    searched: PullbackBasis


def add_directions(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which directions: --feature and --rotate."""
    parser.add_argument(
        "--feature",
        default=PICTURE,
        metavar="NAME",
        help=f"what the directions change most: {PICTURE}, the predicted picture, or a block of the network; "
        "middle is the paper's bottleneck",
    )
    parser.add_argument(
        "--rotate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="turn the directions so that each of them changes one thing",
    )


def add_averaging(parser: argparse.ArgumentParser) -> None:
    """Add the argument --average."""
    parser.add_argument(
        "--average",
        type=whole(1, 64),
        default=1,
        metavar="N",
        help="find the directions that matter under N noises of the picture, which repeat better; "
        "costs N times as much",
    )


def find_directions(
    session: Session, noisy: NoisyLatent, image: torch.Tensor, options: argparse.Namespace
) -> Found:
    """Find the directions at a noisy latent that the options ask for.

    Args:
        session: The run.
        noisy: One noisy latent.
        image: (3, h, w), its picture.
        options: The options of a command with `add_directions` and `add_averaging`.

    Returns:
        The directions.
    """
    clean = faces.encode_image(image[None])
    latents = renoised(noisy, clean, session.denoiser.schedule, options.average, seed=options.seed)
    basis = session.basis(latents, options.rank, tolerance=options.tolerance, seed=options.seed)
    return Found(arranged(session, basis, noisy, options), basis)


def arranged(
    session: Session, basis: PullbackBasis, noisy: NoisyLatent, options: argparse.Namespace
) -> PullbackBasis:
    """Turn the directions of a finished basis, if the options ask for it.

    Args:
        session: The run.
        basis: A basis of the model of the session.
        noisy: The noisy latent that it belongs to.
        options: The options of a command with `add_directions`.

    Returns:
        The basis.
    """
    if not options.rotate:
        return basis
    if options.feature != PICTURE:
        with session.phase("changes of the picture", basis.rank) as bar:
            basis = with_pictures(basis, session.with_feature(PICTURE), noisy, progress=bar.show_products)
    return rotated_basis(basis)
