"""The file of a basis: safetensors with four tensors, a few optional ones, and a header of plain fields.

`FIELDS` lists the header. A new field is one row there, with a default, and an attribute of `PullbackBasis`.
A field with a default is written only where it differs from the default, so older files and new files
without the field look alike. A change that older programs must not misread raises `VERSION`, and `MIGRATIONS`
gets the step from the version before.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .basis_checks import OPTIONAL_TENSORS, SINGULAR, SPACE_TENSORS, TENSORS, validate_numbers, validate_sizes
from .linalg.svd import SearchSpace
from .tensor_files import TensorSize, read_header, read_json, read_tensors, to_bytes

FORMAT = "pullback_basis"
VERSION = 1
# version -> a function that turns a header of that version into one of the next version
MIGRATIONS: dict[int, Callable[[dict[str, str]], dict[str, str]]] = {}
MAX_TEXT = 10_000  # characters of a note, a name or a kind
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


def _check_text(value: str) -> None:
    if len(value) > MAX_TEXT:
        raise ValueError(f"one of its texts has more than {MAX_TEXT} characters")


def _check_names(value: list) -> None:
    for name in value:
        if type(name) is not str:
            raise ValueError("its names hold something other than text")
        _check_text(name)


def _check_scale(value: float) -> None:
    if not 0 <= value <= sys.float_info.max:
        raise ValueError("the scale of its search space is not a positive number")


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
    Field("kind", str, _check_text, SINGULAR),
    Field("names", list, _check_names, []),
    Field("notes", str, _check_text, ""),
    Field("space_scale", float, _check_scale, 0.0),
)


def to_file(values: dict[str, Any]) -> bytes:
    """The bytes of a file.

    Args:
        values: The attributes of a `PullbackBasis`, by name.

    Returns:
        A whole safetensors file.

    Raises:
        ValueError: `read` would refuse the file. The sentence begins with "This basis cannot be saved".
    """
    values, tensors = _with_space_apart(values)
    header = {field.name: values[field.name] for field in FIELDS if values[field.name] != field.default}
    try:
        text = _header_text(header)
        validate_sizes({name: _size_of(tensor) for name, tensor in tensors.items()}, header)
        validate_numbers(tensors, header)
        return to_bytes(tensors, {"format": FORMAT, "version": str(VERSION), "header": text})
    except ValueError as error:
        raise ValueError(f"This basis cannot be saved: {error}.") from error


def read(path: str | Path) -> dict[str, Any]:
    """Read and validate a file of any version.

    Sizes are checked first, so a file never takes much more memory than its own size.

    Args:
        path: The file, which may come from anybody.

    Returns:
        The attributes of a `PullbackBasis`, by name. Tensors are on the CPU.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a sound basis; the sentence gives the reason.
        OSError: The file cannot be read.
    """
    with as_sentences(path):
        header, sizes = read_checked_header(path)
        tensors = read_tensors(path, sizes)
        validate_numbers(tensors, header)
    return _with_space({**tensors, **header})


@contextmanager
def as_sentences(path: str | Path) -> Iterator[None]:
    """Complete the reason of a ValueError to a sentence that names a basis file.

    Args:
        path: The file.

    Raises:
        ValueError: One was raised within.
    """
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{Path(path).name!r} is not a usable pullback basis: {error}.") from error


def read_checked_header(path: str | Path) -> tuple[dict[str, Any], dict[str, TensorSize]]:
    """Read and check the header of a file of any version. No tensor is read.

    Args:
        path: The file, which may come from anybody.

    Returns:
        The fields of the header, and the sizes of the tensors.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The header is not that of a basis. The message is the reason.
        OSError: The file cannot be read.
    """
    metadata, sizes = read_header(path, "basis file", mark=FORMAT)
    if metadata.get("format") != FORMAT:
        raise ValueError("it holds something else")
    version = _version(metadata)
    missing = set(TENSORS) - set(sizes)
    if missing:
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    header = _parse_header(metadata.get("header", ""), version)
    known = (*TENSORS, *OPTIONAL_TENSORS, *SPACE_TENSORS)
    sizes = {name: size for name, size in sizes.items() if name in known}
    validate_sizes(sizes, header)
    return header, sizes


def _with_space_apart(values: dict[str, Any]) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The fields of the header and the tensors of a file. The search space becomes three tensors."""
    space = values["search_space"]
    found = {name: values[name] for name in (*TENSORS, *OPTIONAL_TENSORS)}
    found |= dict(zip(SPACE_TENSORS, space or ()))
    tensors = {name: tensor.detach().cpu() for name, tensor in found.items() if tensor is not None}
    return {**values, "space_scale": 0.0 if space is None else space.scale}, tensors


def _with_space(values: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a basis from what a file holds."""
    scale = values.pop("space_scale")
    q, images, returns = (values.pop(name, None) for name in SPACE_TENSORS)
    space = None if q is None else SearchSpace(q, images, returns, scale)
    return {**dict.fromkeys(OPTIONAL_TENSORS), **values, "search_space": space}


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
