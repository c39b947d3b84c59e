"""The file of a `FacesModel`: written and read, and refused before it takes memory where it is damaged."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from ..atomic import write_atomically
from ..tensor_files import read_header, read_json, read_weights, require_finite, require_weights, to_bytes
from .model import FacesModel
from .unet import UNet, UNetConfig
from .vocabulary import TOKEN_COUNT

FORMAT = "pullback_faces"
UNET_PREFIX = "model.diffusion_model."  # of the names of the UNet's weights, as in a CompVis checkpoint
WORDS = "words.weight"
WEIGHTS = Path(__file__).with_name("faces.safetensors")
EXPRESSIONS = WEIGHTS.with_name("expressions.safetensors")  # the same network, trained on one person alone
LARGEST_SIZE = 2**20  # of a number in the config
CAN_BE_ZERO = ("num_res_blocks", "transformer_depth")
OPTIONAL = ("num_head_channels",)


def save_model(model: FacesModel, path: str | os.PathLike[str]) -> None:
    """Write a model in half precision, as a safetensors file.

    Args:
        model: The model.
        path: Where to write it. An existing file is replaced, whole or not at all.

    Raises:
        ValueError: A weight is not finite in half precision. Nothing is written then.
        OSError: The file cannot be written, see `write_atomically`.
    """
    tensors = {UNET_PREFIX + name: value for name, value in model.unet.state_dict().items()}
    tensors[WORDS] = model.words.weight
    metadata = {
        "format": FORMAT,
        "config": json.dumps(asdict(model.unet.config)),
        "betas": json.dumps(model.betas),
    }
    tensors = {name: value.detach().half() for name, value in tensors.items()}
    try:
        require_finite(tensors)
        data = to_bytes(tensors, metadata)
    except ValueError as error:
        raise ValueError(f"This faces model cannot be saved: {error}.") from error
    write_atomically(path, data)


def load_model(path: str | os.PathLike[str] = WEIGHTS) -> FacesModel:
    """Load a model in float32, ready to use.

    Sizes are checked first, so a file never takes much more memory than its own size.

    Args:
        path: A file of `save_model`; by default the bundled one.

    Returns:
        The model, whose `fingerprint` is a hash of the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is a file of something else, or damaged; the message says how.
        OSError: The file cannot be read.
    """
    path = Path(path)
    try:
        metadata, sizes = read_header(path, "model file")
        if metadata.get("format") != FORMAT:
            raise ValueError("it is of another format")
        config, betas = _read_config(metadata, len(sizes)), _read_betas(metadata)
        require_weights(sizes, _weight_shapes(config))
        weights = read_weights(path, sizes)
        model = FacesModel(config, betas)
        model.words.load_state_dict({"weight": weights.pop(WORDS)})
        model.unet.load_state_dict(
            {name.removeprefix(UNET_PREFIX): weight for name, weight in weights.items()}
        )
        model.fingerprint = _file_hash(path)
    except ValueError as error:
        raise ValueError(f"{path.name!r} is not a usable faces model: {error}.") from error
    return model.eval().requires_grad_(False)


def _read_config(metadata: dict[str, str], tensor_count: int) -> UNetConfig:
    """The config in a file's metadata. Refuses sizes that no network of `tensor_count` tensors has."""
    entries = read_json(metadata.get("config", ""), "its config")
    if not isinstance(entries, dict):
        raise ValueError(f"its config is {type(entries).__name__} and not a list of sizes by name")
    names = {entry.name for entry in fields(UNetConfig)}
    if not names - set(OPTIONAL) <= entries.keys() <= names:
        raise ValueError(f"its config must have the entries {', '.join(sorted(names))}")
    lists = [entry.name for entry in fields(UNetConfig) if entry.type == tuple[int, ...]]
    for name, value in entries.items():
        if not _is_possible(name, value, name in lists):
            raise ValueError(f"its config has an impossible {name}")
    if len({len(entries[name]) for name in lists}) != 1:
        raise ValueError("its config has lists of different lengths")
    layers = sum(entries["num_res_blocks"]) + sum(entries["transformer_depth"]) + len(entries[lists[0]])
    if layers > tensor_count:
        raise ValueError("its config has more layers than the file has weights")
    sizes: dict[str, Any] = entries | {name: tuple(entries[name]) for name in lists}
    return UNetConfig(**sizes)


def _is_possible(name: str, value: Any, is_list: bool) -> bool:
    """Tell whether a value of the config has the right type and a possible size."""
    if isinstance(value, list) != is_list:
        return False
    sizes: Sequence[Any] = value if is_list else [value]
    smallest = 0 if name in CAN_BE_ZERO else 1
    return bool(sizes) and all(type(size) is int and smallest <= size <= LARGEST_SIZE for size in sizes)


def _read_betas(metadata: dict[str, str]) -> tuple[float, float]:
    betas = read_json(metadata.get("betas", ""), "its betas")
    are_two_numbers = (
        isinstance(betas, list) and len(betas) == 2 and all(type(beta) in (int, float) for beta in betas)
    )
    if not (are_two_numbers and 0 < betas[0] <= betas[1] < 1):
        raise ValueError("its betas are not two numbers between 0 and 1 in rising order")
    return betas[0], betas[1]


def _weight_shapes(config: UNetConfig) -> dict[str, tuple[int, ...]]:
    """Name -> shape of all weights, found without the memory for them. Refuses impossible sizes."""
    for multiple, depth in zip(config.channel_mult, config.transformer_depth, strict=True):
        channels = multiple * config.model_channels
        heads = channels // config.num_head_channels
        if depth and not (heads and channels % heads == 0):
            raise ValueError(
                f"its config divides {channels} channels into heads of {config.num_head_channels}"
            )
    try:
        with torch.device("meta"):
            unet = UNet(config)
    except RuntimeError as error:  # a layer of more numbers than torch can count
        raise ValueError("its config has impossible sizes") from error
    shapes = {UNET_PREFIX + name: tuple(weight.shape) for name, weight in unet.state_dict().items()}
    return shapes | {WORDS: (TOKEN_COUNT, config.context_dim)}


def _file_hash(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()[:16]
