"""A stand-in on the CPU for devices such as MPS and DirectML: no float64, no dense decompositions."""

from itertools import chain

import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = torch.device("mps:0")
DEVICE_OF = torch.Tensor.device.__get__
DECOMPOSITIONS = (
    "svd",
    "svdvals",
    "eigh",
    "eigvalsh",
    "qr",
    "solve",
    "matrix_norm",
    "lstsq",
    "inv",
    "pinv",
    "cholesky",
)
# Functions that take tensors of several devices.
MIXING = ("__getitem__", "__setitem__", "copy_", "to", "type_as", "set_")


class WithoutFloat64(TorchFunctionMode):
    """Within it, tensors are on a stand-in for a device without float64.

    Tensors that are made on the CPU or moved there, by `cpu` or `to`, are on the CPU.

    Args:
        mixing: Let operations take tensors of both devices. For code that moves whole networks in ways that
            this mode does not see.
    """

    def __init__(self, mixing=False):
        super().__init__()
        self.mixing = mixing

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function == DEVICE_OF:
            return torch.device("cpu") if _on_cpu(args[0]) else DEVICE
        tensors = [part for part in tree_leaves((args, kwargs)) if isinstance(part, torch.Tensor)]
        name = getattr(function, "__name__", "")
        goal = _goal(name, args, kwargs)
        on_cpu = all(map(_on_cpu, tensors)) if goal is None else goal
        if not on_cpu:
            self._check(name, function, tensors)
        args, kwargs = tree_map(_real_device, (args, kwargs))
        result = function(*args, **kwargs)
        if name == "cpu" or (name == "to" and result is args[0] and on_cpu != _on_cpu(args[0])):
            result = torch.ops.aten.alias(result)  # another object, which can have another device
        for part in tree_leaves(result):
            if isinstance(part, torch.Tensor) and not any(part is one for one in tensors):
                part.is_pretended_on_cpu = on_cpu
                if part.dtype == torch.float64 and not on_cpu:
                    raise TypeError(f"Cannot convert to float64 on {DEVICE}, in {name}.")
        return result

    def _check(self, name, function, tensors):
        full = resolve_name(function) or name
        if any(f"linalg.{one}" in full or f"linalg_{one}" in full for one in DECOMPOSITIONS):
            raise NotImplementedError(f"{full} is not implemented for {DEVICE}.")
        if not self.mixing and name not in MIXING and any(part.ndim and _on_cpu(part) for part in tensors):
            raise RuntimeError(f"Expected all tensors to be on the same device, in {name}.")


def _on_cpu(tensor):
    known = getattr(tensor, "is_pretended_on_cpu", None)
    # A float64 tensor that is older than the mode can only be on the CPU.
    return tensor.dtype == torch.float64 if known is None else known


def _goal(name, args, kwargs):
    """The device that a call names for its result: True is the CPU, False the stand-in, None no device."""
    if name in ("cpu", "tolist", "item", "numpy"):
        return True
    others = args[1:] if name in ("to", "type_as") else args
    for part in chain(others, kwargs.values()):
        if isinstance(part, torch.device):
            return part.type == "cpu"
        if isinstance(part, str) and part.split(":")[0] in ("cpu", "mps"):
            return part == "cpu"
    if name in ("to", "type_as") and others and isinstance(others[0], torch.Tensor):
        return _on_cpu(others[0])
    return None


def _real_device(part):
    pretended = (isinstance(part, torch.device) and part.type == "mps") or (
        isinstance(part, str) and part.startswith("mps")
    )
    return torch.device("cpu") if pretended else part
