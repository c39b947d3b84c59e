"""Weights that live only while their layer runs.

An autograd graph refers to the weights that its layers used. Some ways to save memory overwrite a weight after its layer ran, so
a product computed from the graph later would be wrong, and no check of J v against J^T u would show it.
"""

import torch
from torch.overrides import TorchFunctionMode

from .mode import overwrites

INTEGERS = {
    1: torch.int8,
    2: torch.int16,
    4: torch.int32,
    8: torch.int64,
}  # of as many bytes as a number of a tensor


class Constants(TorchFunctionMode):
    """Within it, the constants that meet differentiated values are watched. Enter it after `Differentiable`.

    A constant is a tensor that no gradient flows through, such as a weight.
    copies: hand every function a copy of its own; otherwise `changed` says whether copies are needed.
    """

    def __init__(self, copies=False):
        super().__init__()
        self.copies = copies
        self._seen = []  # (a tensor of the same memory, its checksum when it was used)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.is_grad_enabled() and any(map(_is_differentiated, [*args, *kwargs.values()])):
            kept = args[:1] if overwrites(function) else ()
            args = *kept, *(self._constant(part) for part in args[len(kept) :])
            kwargs = {name: self._constant(part) for name, part in kwargs.items()}
        return function(*args, **kwargs)

    def changed(self):
        """Whether a constant was overwritten since it was used."""
        return any(not torch.equal(_checksum(tensor), before) for tensor, before in self._seen)

    def _constant(self, part):
        if type(part) not in (torch.Tensor, torch.nn.Parameter) or _is_differentiated(part):
            return part
        if self.copies:
            return part.detach().clone()
        tensor = part.detach()
        self._seen.append((tensor, _checksum(tensor)))
        return part


def _is_differentiated(part):
    return isinstance(part, torch.Tensor) and part.requires_grad and not part.is_leaf


@torch.no_grad()
def _checksum(tensor):
    """A number that changes with any bit of a tensor, except by rare accident."""
    integers = INTEGERS.get(tensor.itemsize)
    if tensor.is_complex() or integers is None:
        return tensor.detach().clone()
    return tensor.view(integers).sum(dtype=torch.int64)
