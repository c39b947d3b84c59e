"""Where a snapshot ends: values that cannot change, objects of other libraries, networks, large arrays."""

import sys
import types

import comfy.controlnet
import comfy.hooks
import comfy.model_patcher
import comfy.patcher_extension
import comfy.sd
import numpy as np
import torch

# Values that cannot change and refer to nothing.
PLAIN = (int, float, complex, str, bytes, type(None), type(...), torch.dtype, torch.device, torch.Size)
LARGEST_ARRAY = 2**24  # bytes; the numbers of a larger array are not saved
FOREIGN = {
    "builtins",
    "comfy",
    "comfy_api",
    "comfy_kitchen",
    "torch",
    "torchvision",
    "numpy",
    "PIL",
    "scipy",
    "safetensors",
    "transformers",
    "accelerate",
    "diffusers",
    "tqdm",
    "pytest",
    "_pytest",
} | set(sys.stdlib_module_names)
# Objects of these foreign classes are opened nevertheless.
OPENED = (
    comfy.hooks.Hook,
    comfy.hooks.HookGroup,
    comfy.hooks.HookKeyframeGroup,
    comfy.hooks.HookKeyframe,
    comfy.controlnet.ControlBase,
    comfy.patcher_extension.PatcherInjection,
    types.SimpleNamespace,
)
# Objects of these classes are not opened, except modules that other nodes define.
CLOSED = (torch.nn.Module, comfy.model_patcher.ModelPatcher, comfy.sd.VAE, comfy.sd.CLIP, types.ModuleType)
# Attributes that are not saved. They depend on the size of the latent alone, or are weights. They are slow to
# make again and remember no noise levels.
CONTROL_CACHES = frozenset({"cond_hint", "extra_concat", "control_input"})
HOOK_WEIGHTS = frozenset({"weights", "weights_clip", "hook_ref"})
MODULE_ATTRIBUTES = frozenset(vars(torch.nn.Module()))  # parameters, buffers, submodules, forward hooks


def is_foreign(module: str | None) -> bool:
    """Tell whether a module name belongs to Python, ComfyUI or a library, not to another node."""
    return (module or "builtins").partition(".")[0] in FOREIGN


def is_opened(instance: object) -> bool:
    """Tell whether the attributes of an instance are saved and followed."""
    foreign = is_foreign(type(instance).__module__)
    if isinstance(instance, torch.nn.Module):
        return not foreign
    if isinstance(instance, CLOSED):
        return False
    return not foreign or isinstance(instance, OPENED)


def ignored_attributes(instance: object) -> frozenset[str]:
    """The names of attributes of an instance that are not saved."""
    if isinstance(instance, torch.nn.Module):
        return MODULE_ATTRIBUTES
    if isinstance(instance, comfy.controlnet.ControlBase):
        return CONTROL_CACHES
    return HOOK_WEIGHTS if isinstance(instance, comfy.hooks.Hook) else frozenset()


def is_saved_array(array: torch.Tensor | np.ndarray) -> bool:
    """Tell whether the numbers of an array are saved."""
    if isinstance(array, np.ndarray):
        return array.nbytes <= LARGEST_ARRAY and not array.dtype.hasobject
    plain = type(array) is torch.Tensor and array.layout is torch.strided and not array.is_meta
    return plain and array.nbytes <= LARGEST_ARRAY
