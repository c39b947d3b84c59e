"""Conversions between images and pictures, and the picture of a direction."""

import io
import os

import numpy as np
import torch
from PIL import Image
from PIL.Image import Image as Picture

from ..atomic import write_atomically
from ..picture_files import to_rgb

PEAK_QUANTILE = 0.995  # a direction map leaves out the largest values above this quantile


def to_pil(image: torch.Tensor, width: int | None = None) -> Picture:
    """Convert an image to a picture.

    Args:
        image: (3, h, w) RGB in [-1, 1]. Values outside are clamped.
        width: The width of the picture in pixels. The aspect is kept. None keeps the size of the image.

    Returns:
        A Pillow image of mode RGB.
    """
    levels = ((image.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    picture = Image.fromarray(levels.permute(1, 2, 0).numpy())
    if width and width != picture.width:
        height = max(1, round(width * picture.height / picture.width))
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return picture


def from_pil(picture: Picture) -> torch.Tensor:
    """Convert a picture of any mode to an image.

    Args:
        picture: A Pillow image.

    Returns:
        (3, h, w) RGB in [-1, 1].

    Raises:
        ValueError: The colours of the picture are not clear, see `picture_files.to_rgb`.
    """
    return torch.from_numpy(np.array(to_rgb(picture))).permute(2, 0, 1).float() / 127.5 - 1


def direction_map(direction: torch.Tensor) -> torch.Tensor:
    """Show as an image what a direction would add.

    Args:
        direction: (3, h, w), a direction in RGB, of any length.

    Returns:
        (3, h, w) in [-1, 1]. Grey means that nothing is added. The range ends at the 99.5% quantile of the
        absolute values.
    """
    peak = direction.abs().flatten().quantile(PEAK_QUANTILE)
    return (direction / peak.clamp(min=1e-12)).clamp(-1, 1)


def save_picture(picture: Picture, path: str | os.PathLike[str]) -> None:
    """Write a picture as a PNG file, complete or not at all.

    Args:
        picture: A Pillow image.
        path: The file. An existing file is replaced.

    Raises:
        OSError: The system refuses, see `write_atomically`.
    """
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())
