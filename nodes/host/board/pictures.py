"""The pictures of a board: small ones for its page, as PNG files in the host's temp folder."""

import os
import uuid
from typing import NamedTuple

import folder_paths
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

LONG_EDGE = 512  # pixels: of the pictures that the page shows
KNOWN_EDGE = 192  # of the changes that are only mixed, never shown alone: there may be many of them
# Pixels of all rows together. The page reads the rows by a canvas, and those of some browsers end at 16384.
TALLEST = 16384
# Pixels as bright or dark as these have no room on one side: a VAE's decoder cuts them off.
DARKEST, BRIGHTEST = 1 / 255, 254 / 255
MIDDLE, ROOM = 128, 127  # the value of no change in a picture of changes, and the values on each side of it
COMPRESSION = 1  # of PNG: files are read once, by the same machine


class Row(NamedTuple):
    """What one direction does to the small picture at strength 1.

    Attributes:
        values: (h, w, 3) in uint8: `MIDDLE` + change / scale.
        scale: The change in levels of 255 for one step of the values.
    """

    values: np.ndarray
    scale: float

    def levels(self):
        """The change as the page computes it, (h, w, 3) in levels of 255."""
        return (self.values.astype(np.float32) - MIDDLE) * self.scale


def small_size(width, height, rows, longest=LONG_EDGE):
    """The size of the small pictures of a board.

    Args:
        width: Of the picture, in pixels.
        height: Of the picture.
        rows: How many rows there will be at most.
        longest: The most pixels of the long edge.

    Returns:
        (width, height), never larger than the picture.
    """
    share = min(1.0, longest / max(width, height), TALLEST / (rows * height))
    return max(1, int(width * share)), max(1, int(height * share))


def shrink(pictures, size):
    """Pictures (b, 3, h, w) -> (b, 3, height, width) by averages of areas. size: (width, height)."""
    if (pictures.shape[-1], pictures.shape[-2]) == tuple(size):
        return pictures
    return F.interpolate(pictures, size=(size[1], size[0]), mode="area")


def change_of(minus, still, plus):
    """What a direction does to decoded pictures at strength 1.

    It is the mean of the steps to both sides. Where one of the pictures is as dark or bright as it can be, a
    step is cut off, and the larger one counts.

    Args:
        minus: (b, 3, h, w) in [0, 1], the pictures at strength -1.
        still: (1, 3, h, w) the picture.
        plus: (b, 3, h, w) the pictures at strength 1.

    Returns:
        (b, 3, h, w) in [-1, 1].
    """
    along, back = plus - still, still - minus
    larger = torch.where(along.abs() >= back.abs(), along, back)
    pictures = torch.stack([minus, still.expand_as(minus), plus])
    cut_off = ((pictures <= DARKEST) | (pictures >= BRIGHTEST)).any(dim=0)
    return torch.where(cut_off, larger, (along + back) / 2)


def row_of(change):
    """A change (3, h, w) in [-1, 1] as a `Row`."""
    levels = 255 * change.float().cpu()
    scale = float(levels.abs().max()) / ROOM or 1.0
    values = (MIDDLE + levels / scale).round().clamp(0, 255).to(torch.uint8)
    return Row(values.permute(1, 2, 0).numpy(), scale)


def enlarged(levels, size):
    """Levels (h, w, 3) at a size (width, height), between the pixels linear."""
    if levels.shape[1::-1] == tuple(size):
        return levels
    pictures = torch.from_numpy(levels).permute(2, 0, 1)[None]
    large = F.interpolate(pictures, size=(size[1], size[0]), mode="bilinear")
    return large[0].permute(1, 2, 0).numpy()


def to_bytes(picture):
    """A picture (3, h, w) in [0, 1] as (h, w, 3) in uint8. What is not finite becomes black."""
    return (255 * picture.nan_to_num(0.0).clamp(0, 1)).round().byte().permute(1, 2, 0).cpu().numpy()


def mask_to_bytes(mask, size):
    """The first picture of a MASK as (h, w) in uint8, at a size (width, height)."""
    mask = mask.float().reshape(-1, 1, *mask.shape[-2:])[:1].clamp(0, 1)
    small = F.interpolate(mask, size=(size[1], size[0]), mode="area")
    return (255 * small[0, 0]).round().byte().cpu().numpy()


def write_temporary(values):
    """Write a picture into the host's temp folder.

    Args:
        values: (h, w, 3) or (h, w) in uint8.

    Returns:
        A dict that tells the page where it is: filename, subfolder and type. The name is used once.
    """
    folder = folder_paths.get_temp_directory()
    os.makedirs(folder, exist_ok=True)
    name = f"pullback_board_{uuid.uuid4().hex}.png"
    Image.fromarray(values).save(os.path.join(folder, name), compress_level=COMPRESSION)
    return {"filename": name, "subfolder": "", "type": "temp"}


def is_there(file):
    """Whether a file of `write_temporary` still exists."""
    return os.path.isfile(os.path.join(folder_paths.get_temp_directory(), file["filename"]))
