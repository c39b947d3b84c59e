"""The checkpoint of a training run: written whole or not at all, and checked before it is used."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from ..atomic import write_atomically
from ..file_access import open_file
from ..tensor_files import require_finite
from .model import FacesModel

State = dict[str, Any]


def save_checkpoint(
    path: Path, step: int, model: FacesModel, ema: FacesModel, optimizer: torch.optim.Optimizer
) -> None:
    """Write a checkpoint.

    Args:
        path: Where to write it.
        step: The number of steps done.
        model: The model in training.
        ema: The moving average of its weights.
        optimizer: The optimizer.

    Raises:
        OSError: The file cannot be written, see `write_atomically`.
    """
    state = {
        "step": step,
        "model": model.state_dict(),
        "ema": ema.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    data = io.BytesIO()
    torch.save(state, data)
    write_atomically(path, data.getbuffer())


def load_checkpoint(path: str | os.PathLike[str]) -> State:
    """Read a checkpoint. Nothing in a file can run.

    Args:
        path: A file of `save_checkpoint`.

    Returns:
        {"step": int, and the state dicts "model", "ema" and "optimizer"}.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Training cannot continue from this file; the message says why.
        OSError: The file cannot be read.
    """
    path = Path(path)
    try:
        state = _read_checkpoint(path)
        if not isinstance(state, dict) or type(state.get("step")) is not int or state["step"] < 0:
            raise ValueError("it is of another format")
        for name in ("model", "ema"):
            _try_state(FacesModel(), state.get(name), name)
            require_finite(state[name])
        _try_state(torch.optim.AdamW(FacesModel().parameters()), state.get("optimizer"), "optimizer")
    except ValueError as error:
        raise ValueError(
            f"{path.name!r} is not a usable checkpoint: {error}; remove it to train from the start."
        ) from error
    return state


def _read_checkpoint(path: Path) -> Any:
    with open_file(path, "checkpoint") as file:
        try:
            return torch.load(file, weights_only=True)
        except Exception as error:  # torch raises a dozen kinds for damaged files
            raise ValueError("it is damaged, or holds something other than numbers") from error


def _try_state(owner: Any, state: Any, name: str) -> None:
    """Raise ValueError unless a module or an optimizer takes a state dict."""
    try:
        owner.load_state_dict(state)
    except (RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"its part {name!r} does not fit the model") from error
