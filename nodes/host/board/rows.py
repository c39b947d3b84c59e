"""What a board shows of a basis and of words: their changes of the picture, and what is known of them."""

from typing import NamedTuple

import torch

from ....pullback_core import PullbackBasis
from ....pullback_core.directions.colour import recolours
from ....pullback_core.directions.linear_range import FARTHEST
from ....pullback_core.directions.preview import preview_by
from ....pullback_core.models.denoiser import PICTURE
from ..edits import finish_edits
from ..latents import clean_latent
from ..masks import keep_parts, kept_parts, mask_of
from ..session import while_sampling
from ..strengths import straight_ranges
from ..words import direction_of_shift
from .pictures import Row, change_of, row_of, shrink

# What a board shows and what it delivers: the cosine of both changes is 0.93 [0.92, 0.94] at strength 1, on
# the bundled model at 0.5 T, 21 faces, the first 8 of 16 rotated directions. It is 0.99 within the linear
# range, 0.86 where the range ends at 0.3 to 0.6, and 0.76 where it ends before 0.3.
DECODED = 4  # directions whose pictures are decoded and kept in full size at once
# The strength at which rows without a slider are decoded. Brightness cuts off less of a short step: on a
# bundled face the change of a whole row is off by at most 0.5 levels (RMS), and by 1.0 with a step of 1.
SHORT = 0.25


class BoardInputs(NamedTuple):
    """The inputs of a board: MODEL, CONDITIONING, VAE, LATENT of one noisy picture and SIGMAS."""

    model: object
    conditioning: list
    vae: object
    latent: dict
    sigmas: torch.Tensor


class Still(NamedTuple):
    """The picture without an edit.

    Attributes:
        clean: (1, c, h, w) in sampler coordinates, on the CPU.
        pixels: (1, 3, h, w) in [0, 1], decoded.
        mask: The mask of the LATENT in the shape of `clean`, or None.
    """

    clean: torch.Tensor
    pixels: torch.Tensor
    mask: torch.Tensor | None


class BoardRow(NamedTuple):
    """One direction of a board.

    Attributes:
        direction: A basis of rank 1 for a word; None for the directions of the basis.
        picture: What it does to the small picture at strength 1.
        facts: What the page gets of it, as JSON.
    """

    direction: PullbackBasis | None
    picture: Row
    facts: dict


def decode(inputs, clean):
    """Clean pictures (b, c, h, w) in sampler coordinates -> (b, 3, height, width) in [0, 1] on the CPU."""
    images = inputs.vae.decode(clean_latent(inputs.model, clean)["samples"])
    return images.flatten(0, -4)[..., :3].movedim(-1, 1).float().cpu()


def still_of(inputs, basis, check, progress):
    """The picture without an edit, and the linear ranges of a basis.

    Args:
        inputs: `BoardInputs`.
        basis: The basis.
        check: Called as check(denoiser, noisy) before anything is computed, to refuse what does not fit.
        progress: A `Progress` of 100 units.

    Returns:
        The `Still`, and (rank, 2) linear ranges.
    """

    def work(denoiser, noisy):
        check(denoiser, noisy)
        clean = finish_edits(denoiser, noisy, inputs.latent, progress=progress.part(0, 10))
        ranges = straight_ranges(denoiser, noisy, basis, progress=progress.part(10, 40), quick=True)
        mask = mask_of(None, inputs.latent, noisy.x)
        return clean.float().cpu(), None if mask is None else mask.float().cpu(), ranges

    clean, mask, ranges = while_sampling(
        inputs.model, inputs.conditioning, inputs.latent, work, sigmas=inputs.sigmas
    )
    return Still(clean, decode(inputs, clean), mask), ranges


def rows_of(inputs, still, basis, ranges, size, progress, **facts):
    """The rows of the directions of a basis.

    Args:
        inputs: `BoardInputs`.
        still: The `Still`.
        basis: A basis that knows what its directions do to the picture.
        ranges: (rank, 2) their linear ranges.
        size: (width, height) of the small pictures.
        progress: Called as progress(directions done, directions in all).
        **facts: What the page gets of each of them, in addition.

    Returns:
        A list of `BoardRow`.
    """
    parts, rows = kept_parts(inputs.latent), []
    ranges = torch.nan_to_num(ranges, posinf=FARTHEST).tolist()
    for start in range(0, basis.rank, DECODED):
        some = basis.select(range(start, min(start + DECODED, basis.rank)))
        shown = preview_by(still.clean, some.to("cpu"), [-1.0, 1.0], mask=still.mask)
        pixels = decode(inputs, keep_parts(shown, parts)).unflatten(0, (some.rank, 2))
        changes = change_of(pixels[:, 0], still.pixels, pixels[:, 1])
        colours = recolours(changes).tolist()
        for number, change in enumerate(shrink(changes, size)):
            picture = row_of(change)
            known = {
                "name": some.name(number),
                "scale": picture.scale,
                "range": ranges[start + number],
                "colour": colours[number],
            }
            rows.append(BoardRow(None, picture, {**facts, **known}))
        progress(len(rows), basis.rank)
    return rows


def known_rows(inputs, still, basis, size):
    """The rows of vectors that are mixed into regions, and never have a slider.

    Their pictures are decoded to one side alone, because there may be many, and after a short step.

    Args:
        inputs: As in `rows_of`.
        still: As in `rows_of`.
        basis: The vectors as a basis.
        size: (width, height) of their pictures.

    Returns:
        A list of `BoardRow`.
    """
    parts, rows = kept_parts(inputs.latent), []
    for start in range(0, basis.rank, DECODED):
        some = basis.select(range(start, min(start + DECODED, basis.rank)))
        shown = preview_by(still.clean, some.to("cpu"), [SHORT], mask=still.mask)
        changes = (decode(inputs, keep_parts(shown, parts)) - still.pixels) / SHORT
        for change in shrink(changes, size):
            picture = row_of(change)
            rows.append(BoardRow(None, picture, {"kind": "known", "scale": picture.scale}))
    return rows


def word_rows(inputs, still, basis, shifts, size, progress):
    """The rows of words.

    Args:
        inputs: As in `rows_of`.
        still: As in `rows_of`.
        basis: The basis of the board.
        shifts: word -> what it changes in the predicted picture.
        size: As in `rows_of`.
        progress: Called as progress(words done, words in all).

    Returns:
        word -> its `BoardRow`, and word -> why it has none.
    """

    def work(denoiser, noisy):
        found, refused = {}, {}
        for word, shift in shifts.items():
            try:
                one = direction_of_shift(denoiser, noisy, basis, shift, name=word)
            except ValueError as error:  # the word changes nothing
                refused[word] = f"{word}: {error}"
                continue
            ends = straight_ranges(denoiser, noisy, one.basis, progress=_ignore, quick=True)
            found[word] = (one, ends)
            progress(len(found) + len(refused), len(shifts))
        return found, refused

    found, refused = while_sampling(
        inputs.model,
        inputs.conditioning,
        inputs.latent,
        work,
        sigmas=inputs.sigmas,
        feature=PICTURE,
        products=True,
    )
    rows = {}
    for word, (one, ends) in found.items():
        facts = {"kind": "word", "explained": one.explained}
        [row] = rows_of(inputs, still, one.basis, ends, size, _ignore, **facts)
        rows[word] = row._replace(direction=one.basis)
    return rows, refused


def _ignore(done, total):
    """The progress of a part that has none of its own."""
