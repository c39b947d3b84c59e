"""The setting of a board as a basis file of the library."""

import re

import folder_paths
import numpy as np
import torch

from ....pullback_core.directions.setting import described
from ..basis_files import OUTPUT_MARK, described_basis, save_basis
from .cache import kept_board
from .running import mixed
from .state import read_state

LIBRARY = "pullback/library"  # in the output folder
LONGEST_NAME = 60  # of a file, in characters
UNWANTED = re.compile(r"[^\w \-]+")  # characters that the name of a file does not get


def keep_setting(node, state, name):
    """Save the setting of a board in the library.

    The thumbnail is the true picture where the board made it of this setting last, and the preview otherwise.

    Args:
        node: The id of the node of the board.
        state: The state that the page wrote, see `read_state`.
        name: What the direction is called; "" makes a name of the setting.

    Returns:
        The name of the file, as `basis_path` takes it.

    Raises:
        ValueError: The board did not run yet, the state cannot be used, nothing is set, or no file can have
            the name.
        OSError: The system refuses.
    """
    board = kept_board(node)
    if board is None:
        raise ValueError(
            "The board has not run since ComfyUI started, so nothing is known of it; run it first."
        )
    found = read_state(state, board.id, board.basis.rank, len(board.rows))
    if found.note:
        raise ValueError(found.note)
    setting = found.setting
    unknown = [word for word in setting.words if word not in board.words]
    if unknown:
        raise ValueError(f"The board has no direction for {', '.join(unknown)}; run it first.")
    if setting.is_empty():
        raise ValueError("Nothing is set on the board, so there is nothing to keep; move a slider first.")
    direction, strength = mixed(board, setting, name.strip())
    notes = f"strength {strength:.3g}: {_described(board, setting)}"
    image = torch.from_numpy(_picture(board, setting)).float()[None] / 255
    basis = described_basis(direction, notes=notes, thumbnail=image)
    path = save_basis(basis, f"{LIBRARY}/{_file_name(basis.name(0))}")
    return path.relative_to(folder_paths.get_output_directory()).as_posix() + OUTPUT_MARK


def _picture(board, setting):
    """The picture of a setting, (h, w, 3) in uint8."""
    if board.shown is not None and board.shown[0] == setting:
        return board.shown[1]
    return np.rint(board.previewed(setting)).clip(0, 255).astype(np.uint8)


def _described(board, setting):
    """The setting in words."""
    names = [board.basis.name(number) or f"direction {number + 1}" for number in range(board.basis.rank)]
    return described([*names, *setting.words], [*setting.mix, *setting.words.values()])


def _file_name(name):
    """A name that every system takes for a file."""
    plain = " ".join(UNWANTED.sub(" ", name).split())[:LONGEST_NAME].strip()
    return plain or "direction"
