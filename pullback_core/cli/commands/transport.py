"""The command `transport`."""

import argparse

import torch

from ... import figures
from ...basis import PullbackBasis
from ...directions.alignment import NOT, describe_alignment
from ...noisy import NoisyLatent
from ...transport import EXACT, FITTED, MEANINGLESS_ALIGNMENT, METHODS, transported_basis
from ..arguments import add_edit, add_inversion, add_out, add_unit, require_directions, require_unit
from ..attributes import attribute_changes, describe_changes
from ..directions import RANK, add_directions, arranged
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
    add_inversion(parser, timestep=0.5)
    add_directions(parser)
    add_edit(parser, rank=RANK)
    add_unit(parser)
    parser.add_argument(
        "--direction", type=COUNT, default=1, metavar="N", help="the direction to carry, counted from 1"
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        help=f"how to carry: {FITTED}, the nearest move that changes the picture in the same way (the "
        "default); released, as the paper's released code; exact, the exact pullback. For the paper as it "
        "is: --feature middle --no-rotate --method released --unit guidance --timestep 0.8",
    )
    parser.add_argument("--exact", action="store_true", help="the same as --method exact")
    add_out(parser, "output/transport")


def run(options: argparse.Namespace) -> None:
    """Edit two pictures along one direction, and write a contact sheet and both bases."""
    require_directions([options.direction], options.rank)
    require_unit(options)
    method = _method(options)
    images = load_sources(
        [Source(options.face, options.image), Source(options.to_face, options.to_image)], options.crop
    )
    require_writable_folder(options.out, "--out")
    session = Session(
        options.model,
        options.prompt,
        timestep=options.timestep,
        steps=options.steps,
        feature=options.feature,
    )
    session.require_rank(options.rank, images[0])

    latents = [session.invert(image, options.refine)[0] for image in images]
    searched, (source, target) = _bases(session, latents, options)
    index = options.direction - 1
    require_directions([options.direction], source.rank)
    carried, alignment = transported_basis(index, source, target, method=method)
    strengths = [factor * options.strength for factor in COLUMNS]
    edits = []
    for noisy, one in zip(latents, (source.select([index]), carried)):
        edits += _edits(session, noisy, one, strengths, options)
    changes = [attribute_changes(row) for row in edits]
    notes = [describe_changes(change) for change in changes]
    verdict = _verdict(alignment, method, target)
    notes[1] += f"\nalignment {alignment:.2f}" + (f"\n{verdict}" if verdict else "")
    warning = _warning(alignment, method, verdict)
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
        searched[1],
        method=method,
        alignment=alignment,
        verdict=verdict,
        warning=warning,
        attribute_change={"source": changes[0], "target": changes[1]},
    )
    write_results(
        options.out,
        {"contact_sheet.png": sheet},
        report,
        {"source.safetensors": source, "target.safetensors": target, "carried.safetensors": carried},
    )


def _bases(
    session: Session, latents: list[NoisyLatent], options: argparse.Namespace
) -> tuple[list[PullbackBasis], list[PullbackBasis]]:
    """The bases that the searches at two latents find, and those that the options make of them."""
    searched = [
        session.basis(noisy, options.rank, tolerance=options.tolerance, seed=options.seed, keep_space=True)
        for noisy in latents
    ]
    return searched, [arranged(session, basis, noisy, options) for basis, noisy in zip(searched, latents)]


def _edits(
    session: Session,
    noisy: NoisyLatent,
    basis: PullbackBasis,
    strengths: list[float],
    options: argparse.Namespace,
) -> list[list[torch.Tensor]]:
    """The edits of one picture along a basis of rank 1."""
    return session.edit(
        noisy,
        basis,
        strengths,
        unit=options.unit,
        guidance_steps=options.guidance_steps,
        boost=options.boost,
        seed=options.seed,
    )


def _method(options: argparse.Namespace) -> str:
    """The method that the options ask for."""
    if options.exact and options.method not in (None, EXACT):
        raise ValueError(
            f"--exact is --method {EXACT}, and the method is {options.method!r}; leave one of them out."
        )
    return EXACT if options.exact else options.method or FITTED


def _verdict(alignment: float, method: str, target: PullbackBasis) -> str | None:
    """The alignment in words. Its thresholds are those of one method."""
    if method != FITTED:
        return None
    return describe_alignment(alignment, target.provenance.get("feature"))


def _warning(alignment: float, method: str, verdict: str | None) -> str | None:
    if verdict == NOT:
        return (
            f"The alignment is only {alignment:.2f}: this direction {verdict} to the target, so the result "
            "means little. Try another --direction, or pictures that are more alike."
        )
    if method == FITTED or alignment >= MEANINGLESS_ALIGNMENT:
        return None
    return (
        f"The alignment is only {alignment:.2f}: the target hardly knows this direction, so the result "
        "means little. Try a later --timestep (nearer 1), a higher --rank or another --direction."
    )
