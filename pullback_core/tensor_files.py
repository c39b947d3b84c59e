"""Safetensors files that may come from anybody: sizes are read and checked before any number is."""

import json
import math
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .atomic import open_file

MAX_HEADER = 2**20  # bytes; ours have a few thousand
FLOATS = ("float16", "bfloat16", "float32", "float64")
DTYPES = {
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "U8": "uint8",
    "BOOL": "bool",
}


class TensorSize(NamedTuple):
    """What a header says of one tensor: `dtype` by torch's name where there is one, and `shape`."""

    dtype: str
    shape: tuple

    @property
    def numel(self):
        return math.prod(self.shape)


def to_bytes(tensors, metadata):
    """Tensors and text as the bytes of a safetensors file. Raises ValueError for a header that `read_header` refuses.

    tensors: {name: tensor on any device}; metadata: {str: str}.
    """
    data = save(
        {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}, metadata
    )
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise ValueError("its header is larger than one megabyte")
    return data


def read_header(path, kind):
    """Read what a file says of itself: (metadata {str: str}, sizes {name: `TensorSize`}).

    kind: what the file should be, for messages. At most one megabyte is read.
    Raises FileNotFoundError and OSError as `open_file` does, and ValueError with the reason for a header that is not sound.
    """
    with open_file(path, kind) as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > MAX_HEADER:
            raise ValueError("it is not a safetensors file")
        text = file.read(length)
    if len(text) < length:
        raise ValueError("it is not a whole safetensors file; part of it is missing")
    header = read_json(text, "its header")
    if not isinstance(header, dict):
        raise ValueError("its header does not list tensors")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata holds something other than text")
    return metadata, {name: _read_size(name, entry) for name, entry in header.items()}


def read_tensors(path, names):
    """Read tensors of a file whose header was checked, into memory of their own: {name: tensor on the CPU}.

    Raises ValueError with the reason when the numbers are not where the header says.
    """
    try:
        with safe_open(path, "pt", device="cpu") as file:
            return {name: file.get_tensor(name).clone() for name in names}
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"it is not a sound safetensors file ({error})") from error


def require_weights(sizes, expected):
    """Raise ValueError with the reason unless a file has exactly the weights of a network.

    sizes: {name: `TensorSize`} of the file; expected: {name: shape}.
    """
    missing, surplus = sorted(expected.keys() - sizes.keys()), sorted(sizes.keys() - expected.keys())
    if missing or surplus:
        raise ValueError(
            f"it lacks the weights {_listed(missing)}"
            if missing
            else f"its weights {_listed(surplus)} belong to no layer"
        )
    for name, size in sizes.items():
        if size.shape != tuple(expected[name]):
            raise ValueError(
                f"its weights {name} have the shape {size.shape}, and {tuple(expected[name])} is needed"
            )
        if size.dtype not in FLOATS:
            raise ValueError(f"its weights {name} are of type {size.dtype}")


def read_weights(path, names):
    """Read weights as `read_tensors` does, in float32. Raises ValueError also for numbers that are not finite."""
    weights = {name: tensor.float() for name, tensor in read_tensors(path, names).items()}
    require_finite(weights)
    return weights


def require_finite(weights):
    """Raise ValueError with the reason for {name: tensor} with a number that is not finite."""
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"its weights {name} hold numbers that are not finite")


def _listed(names):
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def read_json(text, name):
    """Parse JSON of a stranger. Raises ValueError that calls the text `name`, for text that is not JSON or names a thing twice."""
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except _Duplicate as error:
        raise ValueError(f"{name} has the entry {error} twice") from None
    except (
        ValueError,
        RecursionError,
    ):  # ValueError: also text that is not UTF-8, and numbers of thousands of digits
        raise ValueError(f"{name} is not JSON") from None


class _Duplicate(Exception):
    pass


def _without_duplicates(pairs):
    entries = {}
    for name, value in pairs:
        if name in entries:
            raise _Duplicate(repr(name))
        entries[name] = value
    return entries


def _read_size(name, entry):
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"its tensor {name!r} has no shape")
    dtype = entry.get("dtype")
    return TensorSize(DTYPES.get(dtype, dtype) if isinstance(dtype, str) else "unknown", tuple(shape))
