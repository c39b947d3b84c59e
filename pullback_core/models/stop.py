"""Ending the forward pass of a network at the block whose output is the feature."""

from collections.abc import Callable

import torch


class StopForward(BaseException):
    """Carries the feature h out of a network. What the network would compute after it is skipped.

    It is a BaseException, so that no `except Exception` of a network catches it.

    Args:
        h: the feature, (b, *H).
    """

    def __init__(self, h: torch.Tensor) -> None:
        super().__init__()
        self.h = h


def output_of_block(block: torch.nn.Module, name: str, forward: Callable[[], object]) -> torch.Tensor:
    """Run a network until one of its blocks returns, and no further.

    Args:
        block: A module that the forward pass calls.
        name: The name of the block, for the message.
        forward: Runs the network.

    Returns:
        The output of the block, or the first part of an output that is a tuple.

    Raises:
        RuntimeError: The forward pass ended without calling the block.
    """
    with block.register_forward_hook(_stop):
        try:
            forward()
        except StopForward as stop:
            return stop.h
    raise RuntimeError(
        f"The network ran without calling its block {name!r}; restore the network's own forward."
    )


def _stop(block, inputs, output):
    raise StopForward(output[0] if isinstance(output, tuple) else output)
