"""Clones of a MODEL as this pack computes with them: loaded whole, and on one device."""

import inspect
from weakref import WeakKeyDictionary

# A `BaseModel` whose weights are streamed -> what its clones that are loaded whole share.
_whole = WeakKeyDictionary()


def clone_for_derivatives(model):
    """A clone of a MODEL that the host loads in one piece on one device, where the host can.

    The host streams weights through shared memory (DynamicVRAM). They are read once more from their file,
    once for all clones of a model. A model that no loader of the host read from a file stays streamed; its
    layers then copy their weights when derivatives are taken.

    The host shares work among several GPUs by threads, which know nothing of derivatives. So the clone has
    the first device alone.
    """
    clone = _loaded_whole(model) if getattr(model, "is_dynamic", bool)() else model.clone()
    if hasattr(clone, "remove_additional_models"):
        clone.remove_additional_models("multigpu")
    clone.model_options.pop("multigpu_clones", None)
    return clone


def _loaded_whole(model):
    """A clone of a streamed MODEL, loaded whole where the host can read its file again."""
    if getattr(model, "cached_patcher_init", True) is None:
        return model.clone()
    if "model_override" not in inspect.signature(model.clone).parameters:
        return model.clone(disable_dynamic=True)
    clone = model.clone(disable_dynamic=True, model_override=_whole.get(model.model))
    _whole[model.model] = clone.get_clone_model_override()
    return clone
