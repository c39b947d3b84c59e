"""The file of a basis: safetensors with four tensors, and a header of plain fields.

`FIELDS` lists the header. A new field is one row there, with a default, and an attribute of `PullbackBasis`.
A field with a default is written only where it differs from the default, so older files and new files
without the field look alike. A change that older programs must not misread raises `VERSION`, and `MIGRATIONS`
gets the step from the version before.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .tensor_files import FLOATS, TensorSize, read_header, read_json, read_tensors, to_bytes

FORMAT = "pullback_basis"
VERSION = 1
# version -> a function that turns a header of that version into one of the next version
MIGRATIONS: dict[int, Callable[[dict[str, str]], dict[str, str]]] = {}
TENSORS = ("v", "s", "u", "residuals")
ORTHONORMAL_TOLERANCE = 1e-3
CHUNK = 2**22  # numbers that are checked at once, so that a check takes little memory
REQUIRED = object()  # the default of a field that every file has


def _check_products(value: int) -> None:
    if value < 0:
        raise ValueError("its count of products is negative")
    if value >= 2**63:
        raise ValueError("its count of products is impossible")


def _check_sigma(value: float) -> None:
    if not 0 < value <= sys.float_info.max:
        raise ValueError("its noise level is impossible")


def _check_timestep(value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError("its noise level is impossible")


def _check_seed(value: int) -> None:
    if not -(2**63) <= value < 2**64:
        raise ValueError("its seed has more than 64 bits")


def _check_provenance(value: dict) -> None:
    if not all(type(text) is str for text in value.values()):
        raise ValueError("its provenance holds something other than text")


def _accept(value: Any) -> None:
    """Every value of the type is possible."""


class Field(NamedTuple):
    """One entry of the header.

    Attributes:
        name: The attribute of `PullbackBasis`.
        type: The type in JSON. A float may be written as an int.
        check: Raises ValueError for an impossible value. Comparisons are written so that NaN fails.
        default: What a file without the entry means.
    """

    name: str
    type: type
    check: Callable[[Any], None] = _accept
    default: Any = REQUIRED


FIELDS = (
    Field("products", int, _check_products),
    Field("converged", bool),
    Field("sigma", float, _check_sigma),
    Field("timestep", float, _check_timestep),
    Field("seed", int, _check_seed),
    Field("provenance", dict, _check_provenance),
)


def to_file(values: dict[str, Any]) -> bytes:
    """The bytes of a file.

    Args:
        values: The tensors of `TENSORS` and the fields of `FIELDS`, by name.

    Returns:
        A whole safetensors file.

    Raises:
        ValueError: `read` would refuse the file. The sentence begins with "This basis cannot be saved".
    """
    tensors = {name: values[name].detach().cpu() for name in TENSORS}
    header = {field.name: values[field.name] for field in FIELDS if values[field.name] != field.default}
    try:
        text = _header_text(header)
        _validate_sizes({name: _size_of(tensor) for name, tensor in tensors.items()})
        _validate_numbers(tensors)
        return to_bytes(tensors, {"format": FORMAT, "version": str(VERSION), "header": text})
    except ValueError as error:
        raise ValueError(f"This basis cannot be saved: {error}.") from error


def read(path: str | Path) -> dict[str, Any]:
    """Read and validate a file of any version.

    Sizes are checked first, so a file never takes much more memory than its own size.

    Args:
        path: The file, which may come from anybody.

    Returns:
        The tensors of `TENSORS`, on the CPU, and the fields of `FIELDS`, by name.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a sound basis; the sentence gives the reason.
        OSError: The file cannot be read.
    """
    path = Path(path)
    try:
        metadata, sizes = read_header(path, "basis file")
        if metadata.get("format") != FORMAT:
            raise ValueError("it holds something else")
        version = _version(metadata)
        missing = set(TENSORS) - set(sizes)
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        header = _parse_header(metadata.get("header", ""), version)
        _validate_sizes({name: sizes[name] for name in TENSORS})
        tensors = read_tensors(path, TENSORS)
        _validate_numbers(tensors)
    except ValueError as error:
        raise ValueError(f"{path.name!r} is not a usable pullback basis: {error}.") from error
    return {**tensors, **header}


def _version(metadata: dict[str, str]) -> int:
    known = {str(version): version for version in (*sorted(MIGRATIONS), VERSION)}
    text = metadata.get("version", "unknown")
    if text not in known:
        raise ValueError(f"its version is {text}, this program reads {', '.join(known)}")
    return known[text]


def _size_of(tensor: torch.Tensor) -> TensorSize:
    return TensorSize(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


def _header_text(header: dict[str, Any]) -> str:
    """The header as JSON. `_parse_header` must accept it and return it unchanged."""
    try:
        text = json.dumps(header)
    except (TypeError, RecursionError) as error:
        raise ValueError(f"its header holds something that a file cannot ({error})") from None
    parsed = _parse_header(text, VERSION)
    if any(parsed[name] != value for name, value in header.items()):
        raise ValueError("its provenance holds something other than text")
    return text


def _parse_header(text: str, version: int) -> dict[str, Any]:
    """The header of a file of this version, brought to the newest version and checked."""
    header = read_json(text, "its header")
    if not isinstance(header, dict):
        raise ValueError(f"its header must have exactly the entries {', '.join(_names(FIELDS))}")
    for older in range(version, VERSION):
        header = MIGRATIONS[older](header)
    required = [field for field in FIELDS if field.default is REQUIRED]
    if not set(_names(required)) <= set(header) <= set(_names(FIELDS)):
        raise ValueError(f"its header must have exactly the entries {', '.join(_names(FIELDS))}")
    return {field.name: _checked(field, header) for field in FIELDS}


def _names(fields: tuple[Field, ...] | list[Field]) -> list[str]:
    return [field.name for field in fields]


def _checked(field: Field, header: dict[str, Any]) -> Any:
    if field.name not in header:
        return field.default
    value = header[field.name]
    if field.type is float and type(value) is int:
        field.check(value)  # before the conversion, which an int of hundreds of digits would not survive
        value = float(value)
    if type(value) is not field.type:
        raise ValueError(f"its {field.name} is not of type {field.type.__name__}")
    field.check(value)
    return value


def _validate_sizes(sizes: dict[str, TensorSize]) -> None:
    """Check types and shapes before anything of their size is allocated."""
    v, s, u, residuals = (sizes[name].shape for name in TENSORS)
    if len(s) != 1 or not s[0] or len(v) != 4 or len(u) < 2 or residuals != s:
        raise ValueError(f"its shapes are v {v}, s {s}, u {u}, residuals {residuals}")
    rank = s[0]
    if not v[0] == u[0] == rank:
        raise ValueError(f"it has {v[0]} directions in x, {u[0]} in h and {rank} singular values")
    for name in ("v", "u"):
        if sizes[name].numel < rank * rank:
            raise ValueError(
                f"it has {rank} directions {name} of {sizes[name].numel // rank} numbers, "
                "which cannot be orthonormal"
            )
    for name in TENSORS:
        if sizes[name].dtype not in FLOATS:
            raise ValueError(f"its {name} is of type {sizes[name].dtype}")


def _validate_numbers(tensors: dict[str, torch.Tensor]) -> None:
    """Check the numbers of tensors on the CPU. Comparisons are written so that NaN fails."""
    for name, tensor in tensors.items():
        if not all(torch.isfinite(part).all() for part in tensor.flatten().split(CHUNK)):
            raise ValueError(f"its {name} holds numbers that are not finite")
    s, residuals = tensors["s"], tensors["residuals"]
    if not ((s >= 0).all() and (s.diff() <= 0).all()):
        raise ValueError("its singular values do not descend")
    if not (residuals >= 0).all():
        raise ValueError("its residuals are negative")
    for name in ("v", "u"):
        if not _are_orthonormal(tensors[name].flatten(1)):
            raise ValueError(f"its directions {name} are not orthonormal")


def _are_orthonormal(rows: torch.Tensor) -> bool:
    """Whether finite rows (n, d) are orthonormal, computed in blocks and in float64, which all CPUs have."""
    # bfloat16 cannot hold orthonormal rows more exactly than its own precision.
    tolerance = max(ORTHONORMAL_TOLERANCE, torch.finfo(rows.dtype).eps)
    blocks = rows.split(max(1, CHUNK // rows.shape[1]))
    # Norms come first: products of entries above 1e154 would overflow, and inf - inf is NaN.
    for block in blocks:
        if not ((block.double().square().sum(dim=1) - 1).abs() <= tolerance).all():
            return False
    for index, block in enumerate(blocks):
        block = block.double()
        for other_index, other in enumerate(blocks[: index + 1]):
            products = block @ other.double().T
            if index == other_index:
                products -= torch.eye(len(block), dtype=products.dtype)
            if not (products.abs() <= tolerance).all():
                return False
    return True
