"""A device that has neither float64 nor dense decompositions, such as MPS and DirectML, pretended on the CPU."""

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
MIXING = ("__getitem__", "__setitem__", "copy_", "to", "type_as", "set_")  # of devices, which torch allows


class WithoutFloat64(TorchFunctionMode):
    """A device without float64, on the CPU: a tensor is on it unless it was made on the CPU, or brought there by `cpu` or `to`.

    mixing: let operations take tensors of both devices, for code that moves whole networks by means that cannot be watched.
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
            result = torch.ops.aten.alias(result)  # an object of its own, whose device can differ
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
    return (
        tensor.dtype == torch.float64 if known is None else known
    )  # float64 from before the mode can be nowhere else


def _goal(name, args, kwargs):
    """Whether a call names the CPU (True) or the pretended device (False) for its result, or neither (None)."""
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
