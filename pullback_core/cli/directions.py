"""Which directions a command follows: their options, and the basis that the options ask for."""

import argparse
from typing import Any, NamedTuple

import torch

from .. import faces
from ..basis import PullbackBasis
from ..directions.averaging import renoised
from ..directions.masked_search import search_within
from ..directions.masks import WORTH_A_SEARCH, Masked, masked_basis
from ..directions.pictures import with_pictures
from ..directions.rotation import rotated_basis
from ..models.denoiser import PICTURE
from ..noisy import NoisyLatent
from .options import path, whole
from .session import Session

RANK = 16  # directions that a search finds; turned, they are as many things
INSIDE_A_MASK = 4  # directions inside a mask, at most


class Found(NamedTuple):
    """The directions that a command follows.

    Attributes:
        basis: The directions.
        searched: The basis that the search found, of which they are made.
        notes: A text for each direction, "" where there is nothing to say.
        report: What is known about the directions, for report.json.
    """

    basis: PullbackBasis
    searched: PullbackBasis
    notes: list[str]
    report: dict[str, Any]


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
        help="turn the directions so that each of them changes one thing; done unless a mask chooses them",
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose among what a search knows: --average and --mask."""
    parser.add_argument(
        "--average",
        type=whole(1, 64),
        default=1,
        metavar="N",
        help="find the directions that matter under N noises of the picture, which repeat better; "
        "costs N times as much",
    )
    parser.add_argument(
        "--mask",
        type=path,
        metavar="FILE",
        help="a picture, white where the edit may change something and black elsewhere",
    )


def require_choice(options: argparse.Namespace) -> None:
    """Refuse options of directions that exclude each other.

    Args:
        options: The options of a command with `add_directions` and `add_choice`.

    Raises:
        ValueError: Two options exclude each other.
    """
    if options.rotate and options.mask:
        raise ValueError("--rotate and --mask exclude each other: the mask chooses the directions.")


def find_directions(
    session: Session,
    noisy: NoisyLatent,
    image: torch.Tensor,
    mask: torch.Tensor | None,
    options: argparse.Namespace,
) -> Found:
    """Find the directions at a noisy latent that the options ask for.

    Args:
        session: The run.
        noisy: One noisy latent.
        image: (3, h, w), its picture.
        mask: (h, w) in [0, 1], the mask of the options; None for none.
        options: The options of a command with `add_directions` and `add_choice`.

    Returns:
        The directions.
    """
    clean = faces.encode_image(image[None])
    latents = renoised(noisy, clean, session.denoiser.schedule, options.average, seed=options.seed)
    searched = session.basis(
        latents,
        options.rank,
        tolerance=options.tolerance,
        seed=options.seed,
        keep_space=mask is not None,
    )
    if mask is None:
        basis = arranged(session, searched, noisy, options)
        return Found(basis, searched, [""] * basis.rank, {})
    masked = _inside(session, _knowing_pictures(session, searched, noisy), noisy, mask)
    print(f"{masked.report()}.")
    shares = [round(share, 3) for share in masked.inside.tolist()]
    return Found(
        masked.basis, searched, [f"{share:.2f} inside the mask" for share in shares], {"share_inside": shares}
    )


def arranged(
    session: Session, basis: PullbackBasis, noisy: NoisyLatent, options: argparse.Namespace
) -> PullbackBasis:
    """Turn the directions of a finished basis, unless the options say otherwise.

    Args:
        session: The run.
        basis: A basis of the model of the session.
        noisy: The noisy latent that it belongs to.
        options: The options of a command with `add_directions`.

    Returns:
        The basis.
    """
    if options.rotate is False:
        return basis
    return rotated_basis(_knowing_pictures(session, basis, noisy))


def _knowing_pictures(session: Session, basis: PullbackBasis, noisy: NoisyLatent) -> PullbackBasis:
    """The basis with what its directions do to the picture."""
    if basis.provenance["feature"] == PICTURE:
        return basis
    with session.phase("changes of the picture", basis.rank) as bar:
        return with_pictures(basis, session.with_feature(PICTURE), noisy, progress=bar.show_products)


def _inside(session: Session, basis: PullbackBasis, noisy: NoisyLatent, mask: torch.Tensor) -> Masked:
    """The directions inside a mask. If too little is inside, another search within the mask helps."""
    weights = faces.encode_mask(mask)
    masked = masked_basis(basis, [weights], INSIDE_A_MASK)
    if masked.inside.max() >= WORTH_A_SEARCH or session.denoiser.provenance["feature"] != PICTURE:
        return masked
    with session.phase("search within the mask") as bar:
        known = search_within(
            session.denoiser,
            noisy,
            [weights],
            start=basis,
            progress=bar.show_search,
        )
    return masked_basis(known, [weights], INSIDE_A_MASK)
