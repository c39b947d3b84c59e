"""The pictures that a command works on: a bundled example face, or a file of the user."""

import argparse
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, ImageOps

from .. import faces, figures
from ..picture_files import read_picture
from .options import path, shorten, whole

INSIDE = 0.5  # a mask has a pixel of at least this value, and one of at most 1 minus it
LONGEST_ASPECT = 8  # a picture of the user that is longer is cropped to this aspect


class Source(NamedTuple):
    """Where a picture comes from.

    Attributes:
        face: The number of an example face.
        image: A picture file. None takes the example face.
    """

    face: int
    image: Path | None


def add_source(parser: argparse.ArgumentParser, face: int) -> None:
    """Add the arguments --face, --image and --crop.

    Args:
        parser: The parser of the command.
        face: The default of --face.
    """
    _add_face_or_image(parser, "", face)
    parser.add_argument(
        "--crop",
        action="store_true",
        help="edit the middle square of a picture of your own; the model was trained on squares",
    )


def add_target(parser: argparse.ArgumentParser, face: int) -> None:
    """Add the arguments --to-face and --to-image.

    Args:
        parser: The parser of the command.
        face: The default of --to-face.
    """
    _add_face_or_image(parser, "to-", face)


def _add_face_or_image(parser: argparse.ArgumentParser, prefix: str, face: int) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        f"--{prefix}face",
        type=whole(0, faces.LAST_EXAMPLE),
        default=face,
        metavar="N",
        help="a bundled example face, any number from 0",
    )
    source.add_argument(
        f"--{prefix}image",
        type=path,
        metavar="FILE",
        help=f"a picture of your own instead, made {faces.SIZE} pixels wide or high, whichever is less",
    )


def load_sources(sources: list[Source], crop: bool) -> list[torch.Tensor]:
    """Load pictures as images that the model can compute.

    Several images get one shape, because directions are carried only between latents of one shape.

    Args:
        sources: Where the pictures come from.
        crop: Take the middle square of picture files.

    Returns:
        For each source an image (3, h, w) RGB in [-1, 1]. h and w are multiples of `faces.PATCH`.

    Raises:
        ValueError: A picture cannot be read.
        FileNotFoundError: There is no such picture file.
    """
    images = [_load_source(source, crop) for source in sources]
    if len({image.shape for image in images}) > 1:
        print("The pictures differ in aspect, so the middle square of each is taken.")
        images = [_load_source(source, crop=True) for source in sources]
    return images


def load_source(source: Source, crop: bool) -> torch.Tensor:
    """Load one picture, as `load_sources` does."""
    return load_sources([source], crop)[0]


def load_mask(path: Path, image: torch.Tensor) -> torch.Tensor:
    """Load a mask, and fit it to a picture. A mask of another aspect is cropped to the middle.

    Args:
        path: A picture file: white is inside, black is outside, and grey is between.
        image: (3, h, w), the picture that the mask belongs to.

    Returns:
        (h, w) in [0, 1].

    Raises:
        ValueError: The file cannot be read, or the mask has nothing inside or nothing outside.
        FileNotFoundError: There is no such file.
    """
    height, width = image.shape[1:]
    picture = ImageOps.fit(read_picture(path), (width, height), Image.Resampling.BOX)
    mask = (figures.from_pil(picture).mean(dim=0) + 1) / 2
    if mask.max() < INSIDE or mask.min() > 1 - INSIDE:
        missing = "inside, which is white" if mask.max() < INSIDE else "outside, which is black"
        raise ValueError(f"--mask: {shorten(path)} has nothing {missing}; paint a part of the picture white.")
    return mask


def _load_source(source: Source, crop: bool) -> torch.Tensor:
    if source.image is None:
        return faces.example_faces([source.face])[0]
    picture = read_picture(source.image)
    width, height = (faces.SIZE, faces.SIZE) if crop else _size_for_model(picture.width, picture.height)
    if width != height:
        print(
            f"The picture is edited at {width} x {height} pixels. The model was trained on squares; "
            "--crop edits the middle square."
        )
    return figures.from_pil(ImageOps.fit(picture, (width, height), Image.Resampling.LANCZOS))


def _size_for_model(width: int, height: int) -> tuple[int, int]:
    """The size at which the model computes a picture.

    The shorter side is the size of the model's pictures. The aspect is that of the picture.
    """
    short, long = sorted((width, height))
    aspect = min(long / short, LONGEST_ASPECT)
    length = faces.PATCH * round(faces.SIZE * aspect / faces.PATCH)
    return (length, faces.SIZE) if width > height else (faces.SIZE, length)
