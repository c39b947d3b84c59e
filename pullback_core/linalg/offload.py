"""Where autograd keeps the tensors that a backward pass needs: in main memory, or nowhere if all are zero."""

from collections.abc import Callable, Sequence

import torch
from torch.autograd.graph import saved_tensors_hooks

OFFLOADED_BYTES = 2**20  # smaller tensors take less memory than time

Restore = Callable[[], torch.Tensor]


def offloading(resident: Sequence[torch.Tensor] = ()) -> saved_tensors_hooks:
    """Make a context in which autograd keeps large tensors of other devices in main memory.

    Args:
        resident: Tensors that stay where they are, such as weights, because something else holds them.

    Returns:
        The context.
    """
    places = _places(resident)

    def keep(tensor: torch.Tensor) -> Restore:
        # The function is looked up when a tensor is saved, so that a benchmark can replace it.
        return _keep(tensor) if _place(tensor) in places else keep_in_main_memory(tensor)

    return saved_tensors_hooks(keep, _restore)


def dropping_zeros(offload: bool, resident: Sequence[torch.Tensor] = ()) -> saved_tensors_hooks:
    """Make a context in which autograd keeps no memory for tensors of zeros.

    Args:
        offload: Keep the other tensors as `offloading` does.
        resident: As in `offloading`.

    Returns:
        The context.
    """
    places = _places(resident)

    def keep_unless_zero(tensor: torch.Tensor) -> Restore:
        if not tensor.any():
            return _keep_zeros(tensor)
        if offload and _place(tensor) not in places:
            return keep_in_main_memory(tensor)
        return _keep(tensor)

    return saved_tensors_hooks(keep_unless_zero, _restore)


def keep_in_main_memory(tensor: torch.Tensor) -> Restore:
    """Copy a tensor of another device to main memory, where it is large.

    Args:
        tensor: Any tensor.

    Returns:
        A function that returns the tensor on its own device.
    """
    device = tensor.device
    if device.type == "cpu" or tensor.nbytes < OFFLOADED_BYTES:
        return _keep(tensor)
    kept = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=tensor.is_cuda).copy_(tensor)

    def restore() -> torch.Tensor:
        return kept.to(device, non_blocking=True)

    return restore


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _places(tensors: Sequence[torch.Tensor]) -> set[int]:
    """Where the memory of tensors begins. A tensor without memory is at 0, as others without memory are."""
    return {_place(tensor) for tensor in tensors}


def _keep(tensor: torch.Tensor) -> Restore:
    def restore() -> torch.Tensor:
        return tensor

    return restore


def _keep_zeros(tensor: torch.Tensor) -> Restore:
    zero, shape = tensor.new_zeros(()), tensor.shape

    def restore() -> torch.Tensor:
        return zero.expand(shape)

    return restore


def _restore(kept: Restore) -> torch.Tensor:
    return kept()
