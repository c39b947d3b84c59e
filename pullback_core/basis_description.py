"""What the header of a basis file says of it, and its small picture. Lists of files need no more.

Both are quick for files of any size, and for safetensors of something else.
"""

from pathlib import Path
from typing import NamedTuple

import torch

from .basis_file import as_sentences, read_checked_header
from .tensor_files import read_tensors


class Description(NamedTuple):
    """What the header of a basis file says of it.

    Attributes:
        kind: What the directions are, see `PullbackBasis`.
        names: The names of the directions; empty where they have none.
        notes: The text of the one who saved it.
        rank: The number of directions.
        has_thumbnail: Whether the file has a small picture.
    """

    kind: str
    names: list[str]
    notes: str
    rank: int
    has_thumbnail: bool


def read_description(path: str | Path) -> Description:
    """Read the header of a basis file alone.

    Args:
        path: The file, which may come from anybody.

    Returns:
        What the header says.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The header is not that of a sound basis; the sentence gives the reason.
        OSError: The file cannot be read.
    """
    with as_sentences(path):
        header, sizes = read_checked_header(path)
    [rank] = sizes["s"].shape
    return Description(header["kind"], header["names"], header["notes"], rank, "thumbnail" in sizes)


def read_thumbnail(path: str | Path) -> torch.Tensor | None:
    """Read the small picture of a basis file, and none of its other tensors.

    Args:
        path: The file, which may come from anybody.

    Returns:
        (h, w, 3) RGB in uint8, at most 256 pixels wide and high; None if the file has none.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a sound basis; the sentence gives the reason.
        OSError: The file cannot be read.
    """
    if not read_description(path).has_thumbnail:
        return None
    with as_sentences(path):
        return read_tensors(path, ["thumbnail"])["thumbnail"]
