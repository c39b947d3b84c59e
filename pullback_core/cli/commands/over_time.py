"""The command `over-time`."""

import argparse

import torch

from ... import faces, figures, spectra
from ...linalg import subspaces
from ...over_time import BasisAtTimestep, bases_over_time
from ..arguments import add_edit, add_inversion, add_out, add_unit, require_directions, require_unit
from ..directions import RANK, add_directions, arranged
from ..options import COUNT, TIMESTEP
from ..results import cell_width, make_report, plot_or_message, write_results
from ..session import Session
from ..sources import Source, add_source, load_source
from ..writable import require_writable_folder

SUMMARY = "At which timestep to edit? One picture's directions at several timesteps."
POSITION = 3

SHOWN_DIRECTIONS = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    add_source(parser, face=3)
    add_inversion(parser, timestep=None)
    add_directions(parser)
    add_edit(parser, rank=RANK)
    add_unit(parser)
    parser.add_argument(
        "--timesteps",
        type=TIMESTEP,
        nargs="+",
        default=[0.3, 0.5, 0.6, 0.7, 0.8, 0.9],
        metavar="T",
        help="fractions of T, above 0 and at most 1; each counts once",
    )
    parser.add_argument(
        "--direction",
        type=COUNT,
        default=1,
        metavar="N",
        help="the first of the directions to show, counted from 1",
    )
    add_out(parser, "output/over-time")


def run(options: argparse.Namespace) -> None:
    """Find the directions of a picture at several timesteps, and write a contact sheet and the bases."""
    timesteps = sorted(set(options.timesteps))
    require_directions([options.direction], options.rank)
    require_unit(options)
    image = load_source(Source(options.face, options.image), options.crop)
    require_writable_folder(options.out, "--out")
    session = Session(
        options.model, options.prompt, timestep=timesteps[-1], steps=options.steps, feature=options.feature
    )
    session.require_rank(options.rank, image)

    searched = _bases(session, image, timesteps, options)
    found = [one._replace(basis=arranged(session, one.basis, one.noisy, options)) for one in searched]
    numbers = range(options.direction, min(options.direction + SHOWN_DIRECTIONS - 1, options.rank) + 1)
    edits = [_edits(session, one, numbers, options) for one in found]
    bases = [one.basis for one in found]
    names = figures.number_labels(timesteps, digits=2)
    row_names = [f"{name} T" for name in names]
    sheet = figures.contact_sheet(
        list(zip(row_names, edits)),
        [f"{number} {sign}" for number in numbers for sign in "-+"],
        row_notes=[
            f"effective rank {spectra.effective_rank(one.basis.s):.1f}\n"
            f"{spectra.mean_frequency(faces.decode_latent(basis.v)).mean():.1f} cycles per picture"
            for one, basis in zip(searched, bases)
        ],
        cell=cell_width(image),
        title="The first directions, by timestep",
    )
    distances = subspaces.distance_matrix(bases)
    plot = plot_or_message(figures.heat_map, distances, row_names, row_names, "Distance between timesteps")
    report = make_report(
        session,
        vars(options) | {"timestep": timesteps[-1]},
        bases=[
            {
                "timestep": basis.timestep,
                "kind": basis.kind,
                "singular_values": one.basis.s.tolist(),
                "responses": basis.s.tolist(),
                "jacobian_products": basis.products,
            }
            for one, basis in zip(searched, bases)
        ],
        distances=distances.tolist(),
    )
    files = {f"basis_{name}.safetensors": basis for name, basis in zip(names, bases)}
    write_results(options.out, {"contact_sheet.png": sheet, "distances.png": plot}, report, files)


def _bases(
    session: Session, image: torch.Tensor, timesteps: list[float], options: argparse.Namespace
) -> list[BasisAtTimestep]:
    with session.phase("bases over time") as bar:

        def show(index: int, products: int, residual: float) -> None:
            bar.set_postfix_str(f"timestep {index + 1} of {len(timesteps)}, residual {residual:.1e}")
            bar.update()

        return bases_over_time(
            session.denoiser,
            faces.encode_image(image[None]),
            timesteps,
            options.rank,
            steps=options.steps,
            refine=options.refine,
            tolerance=options.tolerance,
            seed=options.seed,
            progress=show,
        )


def _edits(
    session: Session, found: BasisAtTimestep, numbers: range, options: argparse.Namespace
) -> list[torch.Tensor]:
    """The edits along the directions, counted from 1: minus and plus of the first, then of the next."""
    rows = session.edit(
        found.noisy,
        found.basis.select([number - 1 for number in numbers]),
        [-options.strength, options.strength],
        unit=options.unit,
        guidance_steps=options.guidance_steps,
        boost=options.boost,
        seed=options.seed,
    )
    return [image for row in rows for image in row]
