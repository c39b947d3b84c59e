"""The command `edit`."""

import argparse
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL.Image import Image as Picture

from ... import faces, figures
from ...noisy import NoisyLatent
from ..arguments import add_edit, add_inversion, add_out, add_unit, require_directions, require_unit
from ..attributes import attribute_changes, describe_changes
from ..directions import RANK, Found, add_choice, add_directions, find_directions, require_choice
from ..options import COUNT
from ..results import COLUMNS, cell_width, make_report, plot_or_message, strength_headings, write_results
from ..session import PICTURE_UNIT, RoundTrip, Session
from ..sources import Source, add_source, load_mask, load_source
from ..writable import require_writable_folder

SUMMARY = "Invert a picture, find its directions, and edit it along them both ways."
POSITION = 1

SHOWN_DIRECTIONS = 8
MAP_WIDTH = 256  # pixels, of the picture of a direction
THUMBNAIL = 256  # pixels, the most that a basis file takes


class _Edited(NamedTuple):
    """One direction, and the pictures edited along it.

    Attributes:
        number: Its number, counted from 1.
        name: Its name, "" where it has none.
        note: What is known about it, "" for nothing.
        pictures: An image (3, h, w) for each strength.
        report: What report.json says.
    """

    number: int
    name: str
    note: str
    pictures: list[torch.Tensor]
    report: dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_source(parser, face=6)
    add_inversion(parser, timestep=0.5)
    add_directions(parser)
    add_choice(parser)
    add_edit(parser, rank=RANK)
    add_unit(parser)
    parser.add_argument(
        "--direction",
        type=COUNT,
        action="append",
        metavar="N",
        help="a direction to edit along, counted from 1; repeat for several "
        f"(default: the first {SHOWN_DIRECTIONS})",
    )
    add_out(parser, "output/edit")


def run(options: argparse.Namespace) -> None:
    """Edit a picture along several directions, and write a contact sheet, the pictures and the basis."""
    require_directions(options.direction or [], options.rank)
    require_unit(options)
    require_choice(options)
    image = load_source(Source(options.face, options.image), options.crop)
    mask = load_mask(options.mask, image) if options.mask else None
    require_writable_folder(options.out, "--out")
    session = Session(
        options.model,
        options.prompt,
        timestep=options.timestep,
        steps=options.steps,
        feature=options.feature,
    )
    session.require_rank(options.rank, image)

    noisy, round_trip = session.invert(image, options.refine)
    found = find_directions(session, noisy, image, mask, options)
    numbers = _direction_numbers(options.direction, found.basis.rank)
    edits = _edits(session, noisy, found, numbers, options)

    headings = strength_headings(_strengths(options))
    pictures = {
        "contact_sheet.png": _sheet(image, round_trip, edits, headings, options),
        "singular_values.png": plot_or_message(figures.singular_value_plot, found.searched),
        "original.png": figures.to_pil(image),
        "reconstruction.png": figures.to_pil(round_trip.image),
    }
    for edited in edits:
        pictures |= _pictures_of_direction(edited, found, headings)
    report = make_report(
        session,
        vars(options),
        found.searched,
        kind=found.basis.kind,
        **found.report,
        inversion_psnr_db=round_trip.psnr,
        directions=[edited.report for edited in edits],
    )
    basis = replace(
        found.basis, thumbnail=_thumbnail(image), notes=f"found by edit at {options.timestep:g} T"
    )
    write_results(options.out, pictures, report, {"basis.safetensors": basis})


def _thumbnail(image: torch.Tensor) -> torch.Tensor:
    """A small picture (h, w, 3) in uint8 of an image (3, h, w), for the file of its basis."""
    picture = figures.to_pil(image)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    return torch.from_numpy(np.array(picture))


def _direction_numbers(chosen: list[int] | None, rank: int) -> list[int]:
    """The directions to edit along, counted from 1, each once."""
    if chosen is None:
        chosen = list(range(1, min(SHOWN_DIRECTIONS, rank) + 1))
    numbers = list(dict.fromkeys(chosen))
    require_directions(numbers, rank)
    return numbers


def _strengths(options: argparse.Namespace) -> list[float]:
    return [factor * options.strength for factor in COLUMNS]


def _edits(
    session: Session, noisy: NoisyLatent, found: Found, numbers: list[int], options: argparse.Namespace
) -> list[_Edited]:
    """Edit along the directions of these numbers, counted from 1."""
    basis, in_order = found.basis, sorted(numbers)
    chosen = basis.select([number - 1 for number in in_order])
    rows = session.edit(
        noisy,
        chosen,
        _strengths(options),
        unit=options.unit,
        guidance_steps=options.guidance_steps,
        boost=options.boost,
        seed=options.seed,
    )
    ranges = session.linear_range(noisy, chosen) if options.unit == PICTURE_UNIT else [None] * len(rows)
    edits = {}
    for number, row, linear in zip(in_order, rows, ranges):
        change = attribute_changes(row)
        lines = [describe_changes(change), found.notes[number - 1]]
        if linear is not None:
            lines.append(f"linear from {linear[0]:+.1f} to {linear[1]:+.1f}")
        name = basis.name(number - 1)
        report = {
            "direction": number,
            "name": name,
            "response": basis.s[number - 1].item(),
            "linear_range": linear,
            "attribute_change": change,
        }
        edits[number] = _Edited(number, name, "\n".join(filter(None, lines)), row, report)
    return [edits[number] for number in numbers]


def _sheet(
    image: torch.Tensor,
    round_trip: RoundTrip,
    edits: list[_Edited],
    headings: list[str],
    options: argparse.Namespace,
) -> Picture:
    """The contact sheet: the original, and a row for each direction."""
    rows = [("original", [image, None, round_trip.image, None, None])]
    notes = [f"reconstructed in the middle\nat {round_trip.psnr:.1f} dB"]
    for edited in edits:
        label = f"{edited.number}  {edited.name}" if edited.name else f"direction {edited.number}"
        rows.append((label, edited.pictures))
        notes.append(edited.note)
    title = f"Directions at {options.timestep:g} T"
    if options.prompt:
        title += f", prompt: {options.prompt}"
    return figures.contact_sheet(rows, headings, row_notes=notes, cell=cell_width(image), title=title)


def _pictures_of_direction(edited: _Edited, found: Found, headings: list[str]) -> dict[str, Picture]:
    """The picture of one direction and of its edits, by file name. The edit of strength 0 is left out."""
    number = edited.number
    shown = figures.direction_map(faces.decode_latent(found.basis.direction(number - 1)))
    pictures = {f"direction_{number}_map.png": figures.to_pil(shown, MAP_WIDTH)}
    for heading, image in zip(headings, edited.pictures):
        if heading != "0":
            pictures[f"direction_{number}_strength_{heading}.png"] = figures.to_pil(image)
    return pictures
