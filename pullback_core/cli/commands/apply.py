"""The command `apply`."""

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps

from ... import faces, figures
from ...basis import PullbackBasis
from ...directions.alignment import FAIR_ALIGNMENT
from ...directions.apply import RANK, STEPS_OF_A_PICTURE, Applied, apply_direction
from ...picture_files import read_picture
from ..arguments import add_out, require_directions
from ..options import COUNT, SEED, STEPS, STRENGTH, TOLERANCE, path, prompt, real, whole
from ..results import make_report, write_results
from ..session import DEFAULT_FEATURE, Session
from ..writable import require_writable_folder

SUMMARY = "Apply a direction that was found on one picture to a folder of others."
POSITION = 9

ENDINGS = frozenset(Image.registered_extensions()) | {".png", ".jpg", ".jpeg", ".webp"}
SHARE = real("from 0 to 1", lambda value: 0 <= value <= 1)
PATCH = faces.PATCH


class _Row(NamedTuple):
    """One file: its name, its picture, and what became of it."""

    name: str
    image: torch.Tensor | None
    applied: Applied


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of this command."""
    parser.add_argument(
        "basis", type=path, metavar="BASIS", help="a basis file, such as edit's basis.safetensors"
    )
    parser.add_argument("folder", type=path, metavar="FOLDER", help="the folder with the pictures")
    parser.add_argument(
        "--direction", type=COUNT, default=1, metavar="N", help="the direction of the basis, counted from 1"
    )
    parser.add_argument(
        "--strength",
        type=STRENGTH,
        default=1.0,
        help="how far to go; 1 is clearly visible, below 0 goes back",
    )
    parser.add_argument(
        "--least",
        type=SHARE,
        default=FAIR_ALIGNMENT,
        help="leave pictures of a smaller alignment alone; 0 edits all",
    )
    parser.add_argument(
        "--prompt", type=prompt, default="", help="what the pictures show; empty for anything"
    )
    parser.add_argument("--steps", type=STEPS, default=50, help="DDIM steps over the whole of T")
    parser.add_argument(
        "--refine", type=whole(0, 1000), default=4, help="fixed-point corrections of each inversion step"
    )
    parser.add_argument(
        "--rank", type=COUNT, default=RANK, help="how many directions to find in each picture"
    )
    parser.add_argument("--tolerance", type=TOLERANCE, default=1e-2, help="largest residual of a direction")
    parser.add_argument("--seed", type=SEED, default=0)
    parser.add_argument("--model", type=path, default=faces.WEIGHTS, help="the model file")
    add_out(parser, "output/apply")


def run(options: argparse.Namespace) -> None:
    """Edit each picture of a folder along one direction. One bad file does not stop the others."""
    source = PullbackBasis.load(options.basis)
    require_directions([options.direction], source.rank)
    files = _picture_files(options.folder)
    require_writable_folder(options.out, "--out")
    session = Session(
        options.model,
        options.prompt,
        timestep=source.timestep,
        steps=options.steps,
        feature=source.provenance.get("feature", DEFAULT_FEATURE),
    )
    _require_latent(source)
    rows = []
    with session.phase("pictures", STEPS_OF_A_PICTURE * len(files)) as bar:
        for number, file in enumerate(files):
            rows.append(_apply(session, source, file, options, bar, number))
            bar.show_products(STEPS_OF_A_PICTURE * (number + 1))
    for line in _table(rows):
        print(line)
    report = make_report(
        session,
        vars(options),
        direction_name=source.name(options.direction - 1),
        applied=sum(row.applied.picture is not None for row in rows),
        pictures=[
            {"file": row.name, "alignment": row.applied.alignment, "verdict": row.applied.verdict}
            for row in rows
        ],
    )
    write_results(options.out, _pictures(rows, options, source), report)


def _picture_files(folder: Path) -> list[Path]:
    """The picture files of a folder, by name."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}; give a folder with pictures.")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.is_file())
    if not files:
        raise ValueError(f"The folder {str(folder)!r} holds no picture files, such as .png or .jpg.")
    return files


def _require_latent(source: PullbackBasis) -> None:
    channels = source.v.shape[1]
    if channels != faces.LATENT_SHAPE[0]:
        raise ValueError(
            f"The basis is of a model whose latents have {channels} channels, and this command's model has "
            f"{faces.LATENT_SHAPE[0]}; in ComfyUI, the node Apply Direction takes any model."
        )


def _apply(
    session: Session, source: PullbackBasis, file: Path, options: argparse.Namespace, bar, number: int
) -> _Row:
    """What becomes of one file."""
    try:
        image = _load(file, source)
    except (ValueError, OSError) as error:
        return _Row(file.name, None, Applied(None, None, f"not read: {' '.join(str(error).split())}"))

    def show(steps: int) -> None:
        bar.show_products(STEPS_OF_A_PICTURE * number + steps)

    [applied] = apply_direction(
        session.denoiser,
        faces.encode_image(image[None]),
        source,
        options.direction - 1,
        session.sigmas,
        strength=options.strength,
        least=options.least,
        refine=options.refine,
        rank=options.rank,
        tolerance=options.tolerance,
        seed=options.seed,
        progress=show,
    )
    return _Row(file.name, image, applied)


def _load(file: Path, source: PullbackBasis) -> torch.Tensor:
    """A picture at the size of the one that the direction was found on; its middle, if the aspect differs."""
    height, width = (PATCH * side for side in source.v.shape[2:])
    return figures.from_pil(ImageOps.fit(read_picture(file), (width, height), Image.Resampling.LANCZOS))


def _table(rows: list[_Row]) -> list[str]:
    """What became of each file, as lines of text."""
    width = max(len(row.name) for row in rows)
    lines = []
    for row in rows:
        alignment = "    " if row.applied.alignment is None else f"{row.applied.alignment:.2f}"
        lines.append(f"{row.name:{width}}  {alignment}  {row.applied.verdict}")
    return lines


def _image_of(row: _Row) -> torch.Tensor | None:
    """The edited image, (3, h, w)."""
    if row.applied.picture is None:
        return None
    return faces.decode_latent(row.applied.picture[None])[0].clamp(-1, 1)


def _pictures(rows: list[_Row], options: argparse.Namespace, source: PullbackBasis) -> dict:
    """The sheet and the edited pictures, by file name."""
    shown = [row for row in rows if row.image is not None]
    name = source.name(options.direction - 1) or f"direction {options.direction}"
    table = [(row.name[:40], [row.image, _image_of(row)]) for row in shown]
    notes = [
        f"alignment {row.applied.alignment:.2f}" if row.applied.alignment is not None else "" for row in shown
    ]
    pictures = {}
    if shown:
        pictures["contact_sheet.png"] = figures.contact_sheet(
            table,
            ["picture", f"{options.strength:+g}"],
            row_notes=notes,
            title=f"{name}, applied to {sum(row.applied.picture is not None for row in rows)} of "
            f"{len(rows)} pictures",
        )
    for row in shown:
        edited = _image_of(row)
        if edited is not None:
            pictures[f"{row.name}.edited.png"] = figures.to_pil(edited)
    return pictures
