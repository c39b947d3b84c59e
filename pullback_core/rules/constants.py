"""Constants, such as weights, that are overwritten after their layer has used them.

An autograd graph refers to the weights that its layers used. Some ways to save memory overwrite a weight
after its layer ran. Later products are then wrong, and the comparison of J v with J^T u does not show it.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from .mode import is_in_place

INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}  # by the bytes of an entry


class WatchedConstants(TorchFunctionMode):
    """Watch the constants that are combined with differentiated values. Enter it after `Differentiable`.

    A constant is a tensor that no gradient flows through, such as a weight.

    Args:
        copies: Give every function copies of its constants, which nobody overwrites. Otherwise `overwritten`
            tells whether copies are needed.
    """

    def __init__(self, copies: bool = False) -> None:
        super().__init__()
        self.copies = copies
        self._seen = []  # (a tensor of the same memory, its checksum when it was used)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if torch.is_grad_enabled() and any(map(_is_differentiated, [*args, *kwargs.values()])):
            target = args[:1] if is_in_place(function) else ()
            args = *target, *(self._constant(part) for part in args[len(target) :])
            kwargs = {name: self._constant(part) for name, part in kwargs.items()}
        return function(*args, **kwargs)

    def overwritten(self) -> bool:
        """Tell whether a constant has changed since it was used."""
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
    """A number that changes with any bit of a tensor, except by rare accident; else a copy of the tensor."""
    integers = INTEGERS.get(tensor.itemsize)
    if tensor.is_complex() or integers is None:
        return tensor.detach().clone()
    return tensor.view(integers).sum(dtype=torch.int64)
