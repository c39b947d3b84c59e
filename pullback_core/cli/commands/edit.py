"""The command `edit`."""

import argparse

import torch
from PIL.Image import Image as Picture

from ... import faces, figures
from ...basis import PullbackBasis
from ..arguments import add_edit, add_inversion, add_out, add_unit, require_directions, require_unit
from ..attributes import attribute_changes, describe_changes
from ..directions import RANK, add_averaging, add_directions, find_directions
from ..options import COUNT
from ..results import COLUMNS, cell_width, make_report, plot_or_message, strength_headings, write_results
from ..session import Session
from ..sources import Source, add_source, load_source
from ..writable import require_writable_folder

SUMMARY = "Invert a picture, find its directions, and edit it along them both ways."
POSITION = 1

SHOWN_DIRECTIONS = 8
MAP_WIDTH = 256  # pixels, of the picture of a direction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_source(parser, face=3)
    add_inversion(parser, timestep=0.5)
    add_directions(parser)
    add_averaging(parser)
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
    numbers = _direction_numbers(options.direction, options.rank)
    require_unit(options)
    image = load_source(Source(options.face, options.image), options.crop)
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
    basis, searched = find_directions(session, noisy, image, options)
    strengths = [factor * options.strength for factor in COLUMNS]
    in_order = sorted(numbers)
    rows = session.edit(
        noisy,
        basis.select([number - 1 for number in in_order]),
        strengths,
        unit=options.unit,
        guidance_steps=options.guidance_steps,
        boost=options.boost,
        seed=options.seed,
    )
    edits = [rows[in_order.index(number)] for number in numbers]
    changes = [attribute_changes(row) for row in edits]

    rows = [("original", [image, None, round_trip.image, None, None])]
    rows += [(f"direction {number}", row) for number, row in zip(numbers, edits)]
    notes = [f"reconstructed in the middle\nat {round_trip.psnr:.1f} dB"]
    notes += [describe_changes(change) for change in changes]
    title = f"Directions at {options.timestep:g} T"
    if options.prompt:
        title += f", prompt: {options.prompt}"
    headings = strength_headings(strengths)
    pictures = {
        "contact_sheet.png": figures.contact_sheet(
            rows, headings, row_notes=notes, cell=cell_width(image), title=title
        ),
        "singular_values.png": plot_or_message(figures.singular_value_plot, searched),
        "original.png": figures.to_pil(image),
        "reconstruction.png": figures.to_pil(round_trip.image),
    }
    for number, row in zip(numbers, edits):
        pictures |= _pictures_of_direction(number, basis, headings, row)
    report = make_report(
        session,
        vars(options),
        searched,
        kind=basis.kind,
        inversion_psnr_db=round_trip.psnr,
        directions=[
            {
                "direction": number,
                "name": basis.name(number - 1),
                "response": basis.s[number - 1].item(),
                "attribute_change": change,
            }
            for number, change in zip(numbers, changes)
        ],
    )
    write_results(options.out, pictures, report, {"basis.safetensors": basis})


def _direction_numbers(chosen: list[int] | None, rank: int) -> list[int]:
    """The directions to edit along, counted from 1, each once."""
    if chosen is None:
        chosen = list(range(1, min(SHOWN_DIRECTIONS, rank) + 1))
    numbers = list(dict.fromkeys(chosen))
    require_directions(numbers, rank)
    return numbers


def _pictures_of_direction(
    number: int, basis: PullbackBasis, headings: list[str], row: list[torch.Tensor]
) -> dict[str, Picture]:
    """The picture of one direction and of its edits, by file name. The edit of strength 0 is left out."""
    shown = figures.direction_map(faces.decode_latent(basis.direction(number - 1)))
    pictures = {f"direction_{number}_map.png": figures.to_pil(shown, MAP_WIDTH)}
    for heading, image in zip(headings, row):
        if heading != "0":
            pictures[f"direction_{number}_strength_{heading}.png"] = figures.to_pil(image)
    return pictures
