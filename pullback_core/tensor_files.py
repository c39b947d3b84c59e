"""Read safetensors files that are not trusted: sizes are checked before any number is read.

The messages of the errors are reasons that start with "it" or "its". The caller completes them to a
sentence that names the file.
"""

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from .file_access import open_file

MAX_HEADER = 2**20  # bytes; the headers of this package have a few thousand
FLOATS = ("float16", "bfloat16", "float32", "float64")
DTYPES = {  # safetensors' name -> torch's name
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
    """The size of one tensor in a header.

    Attributes:
        dtype: Torch's name of the dtype, or the file's name where torch has none.
        shape: The lengths of the tensor's dimensions.
    """

    dtype: str
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def to_bytes(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> bytes:
    """Make the bytes of a safetensors file.

    Args:
        tensors: Names and tensors, on any device.
        metadata: Names and texts for the header.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: The header is so large that `read_header` would refuse it.
    """
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    data = save(copies, dict(metadata))
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise ValueError("its header is larger than one megabyte")
    return data


def read_header(
    path: str | os.PathLike[str], kind: str, mark: str = ""
) -> tuple[dict[str, str], dict[str, TensorSize]]:
    """Read the header of a safetensors file. At most one megabyte is read.

    Args:
        path: The file.
        kind: What the file should be, for messages. Example: "basis file".
        mark: A text that the header of every such file contains. A header without it is not parsed, so that
            a look at many large files is quick.

    Returns:
        The metadata, and the size of each tensor by its name.

    Raises:
        FileNotFoundError: There is no regular file at the path.
        OSError: The system refuses to open the file.
        ValueError: The header is not sound. The message is the reason.
    """
    with open_file(path, kind) as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or length > MAX_HEADER:
            raise ValueError("it is not a safetensors file")
        text = file.read(length)
    if len(text) < length:
        raise ValueError("it is not a whole safetensors file; part of it is missing")
    if mark.encode() not in text:
        raise ValueError("it holds something else")
    header = read_json(text, "its header")
    if not isinstance(header, dict):
        raise ValueError("its header does not list tensors")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata holds something other than text")
    return metadata, {name: _read_size(name, entry) for name, entry in header.items()}


def read_tensors(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Read tensors of a file whose header was checked. The tensors do not share memory with the file.

    Args:
        path: The file.
        names: The tensors to read.

    Returns:
        The tensors by name, on the CPU.

    Raises:
        ValueError: The numbers are not where the header says. The message is the reason.
    """
    try:
        with safe_open(path, "pt", device="cpu") as file:
            return {name: file.get_tensor(name).clone() for name in names}
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(f"it is not a sound safetensors file ({error})") from error


def require_weights(sizes: Mapping[str, TensorSize], expected: Mapping[str, Sequence[int]]) -> None:
    """Check that a file has exactly the weights of a network.

    Args:
        sizes: The size of each tensor of the file, by its name.
        expected: The shape of each weight of the network, by its name.

    Raises:
        ValueError: A weight is missing, has no layer, or has another shape or dtype. The message is the
            reason.
    """
    missing, surplus = sorted(expected.keys() - sizes.keys()), sorted(sizes.keys() - expected.keys())
    if missing:
        raise ValueError(f"it lacks the weights {_listed(missing)}")
    if surplus:
        raise ValueError(f"its weights {_listed(surplus)} belong to no layer")
    for name, size in sizes.items():
        if size.shape != tuple(expected[name]):
            raise ValueError(
                f"its weights {name} have the shape {size.shape}, and {tuple(expected[name])} is needed"
            )
        if size.dtype not in FLOATS:
            raise ValueError(f"its weights {name} are of type {size.dtype}")


def read_weights(path: str | os.PathLike[str], names: Iterable[str]) -> dict[str, torch.Tensor]:
    """Read weights in float32.

    Args:
        path: The file. Its header was checked.
        names: The weights to read.

    Returns:
        The weights by name, on the CPU.

    Raises:
        ValueError: A number is missing or not finite. The message is the reason.
    """
    weights = {name: tensor.float() for name, tensor in read_tensors(path, names).items()}
    require_finite(weights)
    return weights


def require_finite(weights: Mapping[str, torch.Tensor]) -> None:
    """Check that all numbers are finite.

    Args:
        weights: Tensors by name.

    Raises:
        ValueError: A tensor holds NaN or infinity. The message is the reason.
    """
    for name, tensor in weights.items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"its weights {name} hold numbers that are not finite")


def read_json(text: str | bytes, name: str) -> Any:
    """Parse JSON that is not trusted.

    Args:
        text: The JSON text.
        name: What the text is, for the message. Example: "its header".

    Returns:
        The parsed value.

    Raises:
        ValueError: The text is not JSON, or an object has an entry twice. The message is the reason.
    """
    try:
        return json.loads(text, object_pairs_hook=_without_duplicates)
    except _DuplicateEntry as error:
        raise ValueError(f"{name} has the entry {error} twice") from None
    except (ValueError, RecursionError):
        # ValueError also stands for text that is not UTF-8 and for numbers of thousands of digits.
        raise ValueError(f"{name} is not JSON") from None


class _DuplicateEntry(Exception):
    """An object in JSON has an entry twice. The message is the entry's name."""


def _listed(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = {}
    for name, value in pairs:
        if name in entries:
            raise _DuplicateEntry(repr(name))
        entries[name] = value
    return entries


def _read_size(name: str, entry: Any) -> TensorSize:
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        raise ValueError(f"its tensor {name!r} has no shape")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str):
        dtype = "unknown"
    return TensorSize(DTYPES.get(dtype, dtype), tuple(shape))
