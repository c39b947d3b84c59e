"""Computing in the precision that tensors have, also inside torch.autocast."""

from contextlib import ExitStack, contextmanager

import torch
from torch.amp import autocast

DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def without_autocast():
    """Switch torch.autocast off, for every device. Serves as a decorator too.

    Autocast would compute a layer in half precision and its derivative in another precision.
    """
    with ExitStack() as stack:
        for device in DEVICES:
            if torch.is_autocast_enabled(device):
                stack.enter_context(autocast(device, enabled=False))
        yield
