"""Ending the forward pass of a network at the block whose output is the feature."""

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
