"""Which directions a command follows: their options, and the basis that the options ask for."""

import argparse
from typing import Any, NamedTuple

import torch

from .. import faces
from ..basis import PullbackBasis
from ..directions.averaging import renoised
from ..directions.masked_search import search_within
from ..directions.masks import WORTH_A_SEARCH, masked_basis
from ..directions.naming import named_basis
from ..directions.pictures import with_pictures
from ..directions.responses import responses
from ..directions.rotation import rotated_basis
from ..directions.shifts import strongest_part
from ..directions.words import word_direction
from ..models.denoiser import PICTURE
from ..noisy import NoisyLatent
from .options import path, prompt, shorten, whole
from .session import Session
from .words import vocabulary, word_shifts

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
        help="turn the directions so that each of them changes one thing; done without --mask and --toward",
    )


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose among what a search knows: --average, --mask, --toward and --keep."""
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
    parser.add_argument(
        "--toward",
        type=prompt,
        metavar="WORDS",
        help='one direction, towards words: "smiling"; with --mask, inside the mask',
    )
    parser.add_argument(
        "--keep",
        type=prompt,
        action="append",
        default=[],
        metavar="WORDS",
        help="words that --toward shall leave as they are; repeat for several",
    )


def require_choice(options: argparse.Namespace) -> None:
    """Refuse options of directions that exclude each other.

    Args:
        options: The options of a command with `add_directions` and `add_choice`.

    Raises:
        ValueError: Two options exclude each other, or one lacks another.
    """
    words = [word for word in (options.toward, *options.keep) if word is not None]
    if not all(word.strip(" ,") for word in words):
        raise ValueError("--toward and --keep take words, such as 'smiling'; got none.")
    if options.keep and options.toward is None:
        raise ValueError("--keep says what --toward shall leave as it is; add --toward or leave --keep out.")
    if options.toward in options.keep:
        raise ValueError(f"--toward and --keep are both {shorten(options.toward)}; choose other words.")
    if options.toward is not None and options.feature != PICTURE:
        raise ValueError(
            f"--toward reads words in the picture, and not in --feature {shorten(options.feature)}; "
            "leave one of them out."
        )
    chooser = "--mask" if options.mask else "--toward"
    if options.rotate and (options.mask or options.toward is not None):
        raise ValueError(f"--rotate and {chooser} exclude each other: {chooser} chooses the directions.")


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
    chosen = mask is not None or options.toward is not None
    searched = session.basis(
        latents, options.rank, tolerance=options.tolerance, seed=options.seed, keep_space=chosen
    )
    if not chosen:
        basis = arranged(session, searched, noisy, options)
        if basis.knows_pictures():
            basis = named_basis(basis, word_shifts(session, image, noisy, vocabulary(), options.seed))
        return Found(basis, searched, [""] * basis.rank, {})
    found = Found(_knowing_pictures(session, searched, noisy), searched, [""], {})
    if mask is not None:
        found = _inside(session, found, noisy, mask)
    if options.toward is not None:
        found = _towards(session, found, noisy, image, options)
    return found


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


def _inside(session: Session, found: Found, noisy: NoisyLatent, mask: torch.Tensor) -> Found:
    """The directions inside a mask. If too little is inside, another search within the mask helps."""
    weights = faces.encode_mask(mask)
    masked = masked_basis(found.basis, [weights], INSIDE_A_MASK)
    if masked.inside.max() < WORTH_A_SEARCH and session.denoiser.feature == PICTURE:
        with session.phase("search within the mask") as bar:
            known = search_within(
                session.denoiser, noisy, [weights], start=found.basis, progress=bar.show_search
            )
        masked = masked_basis(known, [weights], INSIDE_A_MASK)
    print(f"{masked.report()}.")
    shares = [round(share, 3) for share in masked.inside.tolist()]
    notes = [f"{share:.2f} inside the mask" for share in shares]
    return Found(masked.basis, found.searched, notes, {"share_inside": shares})


def _towards(
    session: Session, found: Found, noisy: NoisyLatent, image: torch.Tensor, options: argparse.Namespace
) -> Found:
    """The direction towards words. Without a mask, the shift itself is the move."""
    shifts = word_shifts(session, image, noisy, [options.toward, *options.keep], options.seed)
    for word in (options.toward, *options.keep):
        if word not in shifts:
            raise ValueError(f"The words {shorten(word)} change nothing in this picture; choose others.")
    shift = shifts.pop(options.toward)
    own = None
    if options.mask is None:
        own = responses(session.denoiser, noisy, strongest_part(shift)[None])
    toward = word_direction(
        found.basis, shift, list(shifts.values()), own=own, name=options.toward.strip(" ,")
    )
    note = f"{toward.explained:.2f} of the words explained"
    print(f"The basis explains {toward.explained:.2f} of what the words {options.toward!r} change.")
    report = {**found.report, "share_explained": round(toward.explained, 3)}
    return Found(toward.basis, found.searched, [note], report)
