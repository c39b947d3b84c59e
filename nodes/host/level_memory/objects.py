"""The objects that act in a sampling of the host and may remember something."""

import types

import comfy.controlnet
import comfy.hooks
import torch

from ..snapshot import CLOSED, PLAIN, Snapshot

PATCHER_CONTAINERS = ("object_patches", "wrappers", "callbacks", "injections", "attachments")
NOT_FOLLOWED = ("control", "hooks", "model_conds", "gligen")  # entries of a conditioning
# Objects that have no state of their own, or whose state is handled elsewhere.
STATELESS = (*PLAIN, torch.Tensor, comfy.hooks.HookGroup)
OWN = __name__.partition(".level_memory")[0] + "."  # this pack's own functions in a MODEL remember nothing


def sampling_objects(patcher, options, entries):
    """Find the objects that act in a sampling and may remember something.

    Args:
        patcher: The MODEL.
        options: Its model options.
        entries: The entries of the conditioning, a dict each.

    Returns:
        (objects of the host itself and network modules, objects of other nodes), two lists.
    """
    host_objects, found = [], []
    for entry in entries:
        for control in _control_chain(entry.get("control")):
            of_host = type(control).__module__ == comfy.controlnet.__name__
            (host_objects if of_host else found).append(control)
            found += _hook_objects(getattr(control, "extra_hooks", None))
        found += _hook_objects(entry.get("hooks"))
        found += _leaves({name: value for name, value in entry.items() if name not in NOT_FOLLOWED})
        if entry.get("hooks"):
            host_objects += [hook.hook_keyframe for hook in entry["hooks"].hooks]
    for name in PATCHER_CONTAINERS:
        found += _leaves(getattr(patcher, name, {}))
    found += _leaves(options)
    host_objects += [value for value in found if isinstance(value, torch.nn.Module)]
    return host_objects, [value for value in found if not isinstance(value, torch.nn.Module)]


def _control_chain(control):
    """A ControlNet and those before it in its chain."""
    while control is not None:
        yield control
        control = getattr(control, "previous_controlnet", None)


def _hook_objects(group):
    """The objects of other nodes in a group of hooks: functions, hooks and keyframes of their own classes."""
    found = []
    for hook in group.hooks if group else ():
        if type(hook).__module__ != comfy.hooks.__name__:
            found.append(hook)
        if type(hook.hook_keyframe) is not comfy.hooks.HookKeyframeGroup:
            found.append(hook.hook_keyframe)
        found += _leaves(getattr(hook, "transformers_dict", None))
    return found


def _leaves(container):
    """The objects with a state in nested containers of the host."""
    if isinstance(container, dict):
        return [leaf for value in container.values() for leaf in _leaves(value)]
    if isinstance(container, list | tuple | set):
        return [leaf for value in container for leaf in _leaves(value)]
    closed = isinstance(container, CLOSED) and not isinstance(container, torch.nn.Module)
    own = isinstance(container, types.FunctionType) and container.__module__.startswith(OWN)
    return [] if closed or own or isinstance(container, STATELESS) else [container]


def independent_groups(objects, ignored):
    """Sort objects into groups that share nothing that can change.

    Objects without contents that can change are left out.

    Args:
        objects: The objects.
        ignored: Objects that are not followed, see `Snapshot`.

    Returns:
        A list of groups, each a list of objects.
    """
    groups = []  # (objects, ids of what they can change)
    for value in {id(value): value for value in objects}.values():
        members, ids = [value], Snapshot([value], ignored).ids
        if not ids:
            continue
        separate = []
        for group in groups:
            if group[1] & ids:
                members, ids = [*group[0], *members], ids | group[1]
            else:
                separate.append(group)
        groups = [*separate, (members, ids)]
    return [members for members, _ in groups]
