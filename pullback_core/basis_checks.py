"""What the tensors of a basis file must be.

The messages of the errors are reasons that start with "it" or "its". The caller completes them to a sentence.
"""

import math
from typing import Any

import torch

from .tensor_files import FLOATS, TensorSize

TENSORS = ("v", "s", "u", "residuals")
OPTIONAL_TENSORS = ("pictures", "predicted", "thumbnail")
SPACE_TENSORS = ("space_q", "space_images", "space_returns")  # of a `SearchSpace`; all of them or none
SINGULAR = "singular"  # the kind whose v and u are orthonormal, and whose s descends
MAX_THUMBNAIL = 256  # pixels of a side
ORTHONORMAL_TOLERANCE = 1e-3
CHUNK = 2**22  # numbers that are checked at once, so that a check takes little memory


def validate_sizes(sizes: dict[str, TensorSize], header: dict[str, Any]) -> None:
    """Check types and shapes, before anything of their size is allocated.

    Args:
        sizes: The size of each tensor of the file, by its name.
        header: The fields of the header.

    Raises:
        ValueError: The sizes are not those of a basis.
    """
    v, s, u, residuals = (sizes[name].shape for name in TENSORS)
    if len(s) != 1 or not s[0] or len(v) != 4 or len(u) < 2 or residuals != s:
        raise ValueError(f"its shapes are v {v}, s {s}, u {u}, residuals {residuals}")
    rank = s[0]
    if not v[0] == u[0] == rank:
        raise ValueError(f"it has {v[0]} directions in x, {u[0]} in h and {rank} singular values")
    for name in ("v", "u"):
        if header.get("kind", SINGULAR) == SINGULAR and sizes[name].numel < rank * rank:
            raise ValueError(
                f"it has {rank} directions {name} of {sizes[name].numel // rank} numbers, "
                "which cannot be orthonormal"
            )
    for name, size in sizes.items():
        if name != "thumbnail" and size.dtype not in FLOATS:
            raise ValueError(f"its {name} is of type {size.dtype}")
    _validate_optional_sizes(sizes, header, rank)


def _validate_optional_sizes(sizes: dict[str, TensorSize], header: dict[str, Any], rank: int) -> None:
    names = header.get("names", [])
    if names and len(names) != rank:
        raise ValueError(f"it has {len(names)} names for {rank} directions")
    v, u = sizes["v"].shape, sizes["u"].shape
    if "pictures" in sizes and sizes["pictures"].shape != v:
        raise ValueError(f"its pictures have the shape {sizes['pictures'].shape}, and {v} is needed")
    if "predicted" in sizes and sizes["predicted"].shape != v[1:]:
        raise ValueError(
            f"its predicted picture has the shape {sizes['predicted'].shape}, and {v[1:]} is needed"
        )
    if "thumbnail" in sizes:
        dtype, shape = sizes["thumbnail"]
        if dtype != "uint8" or len(shape) != 3 or shape[2] != 3 or not 0 < max(shape) <= MAX_THUMBNAIL:
            raise ValueError(f"its thumbnail is no small picture, but {dtype} of shape {shape}")
    shapes = [sizes[name].shape for name in SPACE_TENSORS if name in sizes]
    if not shapes:
        return
    n, m = math.prod(v[1:]), math.prod(u[1:])
    count = shapes[0][0] if shapes[0] else 0
    if shapes != [(count, n), (count, m), (count, n)] or not 0 < count <= n or not header.get("space_scale"):
        raise ValueError(f"its search space is not whole; its shapes are {shapes}")


def validate_numbers(tensors: dict[str, torch.Tensor], header: dict[str, Any]) -> None:
    """Check the numbers of tensors on the CPU.

    Args:
        tensors: The tensors of the file, by name.
        header: The fields of the header.

    Raises:
        ValueError: The numbers are not those of a basis.
    """
    # Comparisons are written so that NaN fails.
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not _are_finite(tensor):
            raise ValueError(f"its {name} holds numbers that are not finite")
    s, residuals = tensors["s"], tensors["residuals"]
    singular = header.get("kind", SINGULAR) == SINGULAR
    if not (s >= 0).all() or (singular and not (s.diff() <= 0).all()):
        raise ValueError("its singular values do not descend" if singular else "its responses are negative")
    if not (residuals >= 0).all():
        raise ValueError("its residuals are negative")
    for name in ("v", "u"):
        rows = tensors[name].flatten(1)
        if singular and not _are_orthonormal(rows):
            raise ValueError(f"its directions {name} are not orthonormal")
        if not singular and not _have_unit_length(rows):
            raise ValueError(f"its directions {name} are not of unit length")
    if "space_q" in tensors and not _are_orthonormal(tensors["space_q"]):
        raise ValueError("the vectors of its search space are not orthonormal")


def _are_finite(tensor: torch.Tensor) -> bool:
    return all(torch.isfinite(part).all() for part in tensor.flatten().split(CHUNK))


def _tolerance(rows: torch.Tensor) -> float:
    """How far rows of this type may be from orthonormal. bfloat16 is hardly more exact than a percent."""
    return max(ORTHONORMAL_TOLERANCE, torch.finfo(rows.dtype).eps)


def _have_unit_length(rows: torch.Tensor) -> bool:
    """Whether finite rows (n, d) have length 1."""
    tolerance = _tolerance(rows)
    for block in rows.split(max(1, CHUNK // rows.shape[1])):
        # Written so that NaN fails.
        if not ((block.double().square().sum(dim=1) - 1).abs() <= tolerance).all():
            return False
    return True


def _are_orthonormal(rows: torch.Tensor) -> bool:
    """Whether finite rows (n, d) are orthonormal, computed in blocks and in float64, which all CPUs have."""
    # Norms come first: products of entries above 1e154 would overflow, and inf - inf is NaN.
    if not _have_unit_length(rows):
        return False
    tolerance, blocks = _tolerance(rows), rows.split(max(1, CHUNK // rows.shape[1]))
    for index, block in enumerate(blocks):
        block = block.double()
        for other_index, other in enumerate(blocks[: index + 1]):
            products = block @ other.double().T
            if index == other_index:
                products -= torch.eye(len(block), dtype=products.dtype)
            if not (products.abs() <= tolerance).all():
                return False
    return True
