"""The objects of a MODEL and a CONDITIONING as they are before a sampling."""

import torch

from ..snapshot import Snapshot
from .objects import sampling_objects


class InitialState:
    """The state of the objects of a MODEL and a CONDITIONING when this is made. It can be restored."""

    def __init__(self, model, conditioning):
        entries = [extra for _, extra in conditioning]
        host_objects, self._other_objects = sampling_objects(model, model.model_options, entries)
        self._host_state = Snapshot(host_objects)
        self._other_state = Snapshot(self._other_objects)

    def accept_changes(self):
        """Save the present state of objects of other nodes instead; see `HostDenoiser.keep_after_error`."""
        self._other_state = Snapshot(self._other_objects)

    def restore(self):
        """Give every object the state that it had."""
        with torch.inference_mode():
            self._host_state.restore()
            self._other_state.restore()
