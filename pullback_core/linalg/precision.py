"""Computing in the precision that the tensors have, also inside torch.autocast."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch.amp import autocast

DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def without_autocast() -> Iterator[None]:
    """Switch torch.autocast off for every device. It is a context manager and a decorator.

    Autocast would compute a layer in half precision and its derivative in another precision.
    """
    with ExitStack() as stack:
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(autocast(device, enabled=False))
        yield
