"""The command `transport`."""

import argparse

from ... import figures
from ...transport import MEANINGLESS_ALIGNMENT, parallel_transport
from ..arguments import add_edit, add_inversion, add_out, require_directions
from ..attributes import attribute_changes, describe_changes
from ..options import COUNT
from ..results import COLUMNS, cell_width, make_report, strength_headings, write_results
from ..session import Session
from ..sources import Source, add_source, add_target, load_sources
from ..writable import require_writable_folder

SUMMARY = "Carry a direction of one picture to another and edit both along it."
POSITION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_source(parser, face=7)
    add_target(parser, face=4)
    add_inversion(parser, timestep=0.8)
    add_edit(parser)
    parser.add_argument(
        "--direction", type=COUNT, default=1, metavar="N", help="the direction to carry, counted from 1"
    )
    parser.add_argument(
        "--exact", action="store_true", help="exact pullback instead of the released code's form"
    )
    add_out(parser, "output/transport")


def run(options: argparse.Namespace) -> None:
    """Edit two pictures along one direction, and write a contact sheet and both bases."""
    require_directions([options.direction], options.rank)
    images = load_sources(
        [Source(options.face, options.image), Source(options.to_face, options.to_image)], options.crop
    )
    require_writable_folder(options.out, "--out")
    session = Session(options.model, options.prompt, timestep=options.timestep, steps=options.steps)
    session.require_rank(options.rank, images[0])

    latents = [session.invert(image, options.refine)[0] for image in images]
    source, target = [
        session.basis(noisy, options.rank, tolerance=options.tolerance, seed=options.seed)
        for noisy in latents
    ]
    index = options.direction - 1
    carried = parallel_transport(index, source, target, exact=options.exact)
    strengths = [factor * options.strength for factor in COLUMNS]
    edits = []
    for noisy, direction in zip(latents, (source.direction(index), carried.direction)):
        edits += session.edit(
            noisy,
            direction[None],
            strengths,
            guidance_steps=options.guidance_steps,
            boost=options.boost,
            seed=options.seed,
        )
    changes = [attribute_changes(row) for row in edits]
    notes = [describe_changes(change) for change in changes]
    notes[1] += f"\nalignment {carried.alignment:.2f}"
    warning = _warning(carried.alignment)
    if warning:
        print(warning)

    sheet = figures.contact_sheet(
        list(zip(("source", "carried over"), edits)),
        strength_headings(strengths),
        row_notes=notes,
        cell=cell_width(images[0]),
        title=f"Direction {options.direction} carried over at {options.timestep:g} T",
    )
    report = make_report(
        session,
        vars(options),
        target,
        alignment=carried.alignment,
        warning=warning,
        attribute_change={"source": changes[0], "target": changes[1]},
    )
    bases = {"source.safetensors": source, "target.safetensors": target}
    write_results(options.out, {"contact_sheet.png": sheet}, report, bases)


def _warning(alignment: float) -> str | None:
    if alignment >= MEANINGLESS_ALIGNMENT:
        return None
    return (
        f"The alignment is only {alignment:.2f}: the target hardly knows this direction, so the result "
        "means little. Try a later --timestep (nearer 1), a higher --rank or another --direction."
    )
