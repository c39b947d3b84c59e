"""`Differentiable`: networks run as they are written, and autograd gets both products of their Jacobian."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from . import RULES
from .rule import without_inference_mode


class Differentiable(TorchFunctionMode):
    """Within it, torch computes so that both products with the Jacobian are right and fast.

    Functions of the table `RULES` are computed by their rules. A network may overwrite its activations in
    place, as many do to save memory: norms keep a copy of their input. Two kinds of tensors are constants:
    tensors made in inference mode, such as the weights of a network that was loaded there, and leaves of
    other graphs, such as weights in training.

    Args:
        copy_slices: Return slices of tensors as copies. Some networks overwrite one slice of a tensor while
            autograd keeps another one. Takes memory.
    """

    def __init__(self, copy_slices: bool = False) -> None:
        super().__init__()
        self.copy_slices = copy_slices

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if not torch.is_grad_enabled():
            return function(*args, **kwargs)
        args, kwargs = as_autograd_inputs(function, args, kwargs)
        if function is torch.Tensor.addcmul_:
            # As in x.addcmul_(x, scale): autograd keeps the factors, one of which is overwritten.
            args = args[0], *(_apart_from(args[0], factor) for factor in args[1:])
        rule = RULES.get(function)
        if rule is not None:
            return rule.call(function, *args, **kwargs)
        result = function(*args, **kwargs)
        return result.clone() if self.copy_slices and function is torch.Tensor.__getitem__ else result


def as_autograd_inputs(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Replace the arguments that autograd cannot keep: inference tensors, and leaves of other graphs.

    The target of an in-place function is left alone, so torch still refuses to write differentiated values
    into a constant.

    Args:
        function: The torch function that is to be called.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The new args and kwargs.
    """
    target = args[:1] if is_in_place(function) else ()
    args = *target, *(_as_autograd_input(part) for part in args[len(target) :])
    return args, {name: _as_autograd_input(part) for name, part in kwargs.items()}


def _apart_from(target: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """The factor, as a copy where it is in the memory of the target."""
    shared = factor.untyped_storage().data_ptr() == target.untyped_storage().data_ptr()
    return factor.clone() if shared else factor


def is_in_place(function: Callable[..., Any]) -> bool:
    """Tell whether a torch function overwrites its first argument.

    `__set__` is the assignment to an attribute, such as `weight.data = other`. It must reach the weight.

    Args:
        function: A function that torch calls on a tensor subclass or within a mode.

    Returns:
        Whether it does.
    """
    name = getattr(function, "__name__", "")
    return name in ("__setitem__", "__set__") or (name.endswith("_") and not name.endswith("__"))


def _as_autograd_input(part):
    """The argument as autograd can keep it, of the same memory. Lists and tuples are searched."""
    if type(part) in (list, tuple):
        return type(part)(map(_as_autograd_input, part))
    if type(part) not in (torch.Tensor, torch.nn.Parameter):
        return part
    # A weight may be both, a leaf that requires grad and an inference tensor. It is still one after `detach`.
    return without_inference_mode(part.detach() if part.requires_grad and part.is_leaf else part)
