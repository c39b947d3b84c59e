"""Clones of a MODEL as this pack computes with them: loaded whole, and on one device."""

import inspect
from weakref import WeakKeyDictionary

_whole = (
    WeakKeyDictionary()
)  # a `BaseModel` whose weights are streamed -> what clones that are loaded whole share


def clone_for_derivatives(model):
    """A clone of a MODEL that the host loads as one piece on one device, where the host can.

    Weights that the host streams through shared memory (DynamicVRAM) are read once more from their file, once for all clones of a
    model. A model that did not come from a file of the host's loaders stays streamed; its layers then copy their weights, see `unpacked`.
    Work shared among several GPUs runs in threads, which know nothing of derivatives: the clone has its first device alone.
    """
    clone = _loaded_whole(model) if getattr(model, "is_dynamic", bool)() else model.clone()
    if hasattr(clone, "remove_additional_models"):
        clone.remove_additional_models("multigpu")
    clone.model_options.pop("multigpu_clones", None)
    return clone


def _loaded_whole(model):
    if getattr(model, "cached_patcher_init", True) is None:  # the host has no way to read it again
        return model.clone()
    if "model_override" not in inspect.signature(model.clone).parameters:
        return model.clone(disable_dynamic=True)
    clone = model.clone(disable_dynamic=True, model_override=_whole.get(model.model))
    _whole[model.model] = clone.get_clone_model_override()
    return clone
