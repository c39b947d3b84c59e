"""What an object contains and what it refers to. Each kind of object has a function, chosen by its type."""

import functools
import types
from collections import deque
from typing import NamedTuple

import numpy as np
import torch

from .boundaries import (
    MODULE_ATTRIBUTES,
    PLAIN,
    ignored_attributes,
    is_foreign,
    is_opened,
    is_saved_array,
)
from .code_use import code_use, record_attributes
from .contents import (
    ArrayContents,
    CellContents,
    Contents,
    ItemsContents,
    MappingContents,
    NamedAttributes,
    NamedEntries,
    TensorContents,
    cell_value,
)

CLASS_DATA = (*PLAIN, list, dict, set, tuple, deque)  # kinds of class variables that are saved


class ModuleAttributes:
    """The attributes that code set on a network module, as an object to take a snapshot of.

    The weights of the module and the modules inside it are left out.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        self.module = module


class Opened(NamedTuple):
    """An object opened.

    Attributes:
        contents: What is saved of it.
        parts: The objects that it refers to, to be opened next.
    """

    contents: list[Contents]
    parts: list[object]


@functools.singledispatch
def open_object(value: object) -> Opened:
    """Open any object. This function opens instances; those below open the kinds that Python has built in."""
    if not is_opened(value):
        return Opened([], [])
    kind = type(value)
    contents, parts = [], [kind]
    if hasattr(value, "__dict__"):
        attributes, records, ignored = vars(value), record_attributes(kind), ignored_attributes(value)
        contents.append(MappingContents(attributes, ignored))
        parts += [part for name, part in attributes.items() if name not in records | ignored]
    slots = [name for name in _slots(kind) if hasattr(value, name)]
    if slots:
        contents.append(NamedAttributes(value, slots))
        parts += [getattr(value, name) for name in slots]
    return Opened(contents, parts)


def _slots(kind: type) -> list[str]:
    """The names of all slots of a class."""
    names = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        names += [slots] if isinstance(slots, str) else slots
    return [name for name in names if name not in ("__dict__", "__weakref__")]


@open_object.register
def _(value: ModuleAttributes) -> Opened:
    contents = MappingContents(vars(value.module), MODULE_ATTRIBUTES)
    parts = [part for name, part in vars(value.module).items() if name not in MODULE_ATTRIBUTES]
    return Opened([contents], parts)


@open_object.register
def _(value: dict) -> Opened:
    return Opened([MappingContents(value)], [*value.values(), *_own_attributes(value)])


@open_object.register(list)
@open_object.register(set)
@open_object.register(deque)
def _(value: list | set | deque) -> Opened:
    return Opened([ItemsContents(value)], [*value, *_own_attributes(value)])


def _own_attributes(container: object) -> list[dict]:
    """The attributes of a container whose class has some, as a list of one dict or of none."""
    return [vars(container)] if hasattr(container, "__dict__") else []


@open_object.register(tuple)
@open_object.register(frozenset)
def _(value: tuple | frozenset) -> Opened:
    return Opened([], list(value))


@open_object.register
def _(value: torch.Tensor) -> Opened:
    return Opened([TensorContents(value)] if is_saved_array(value) else [], [])


@open_object.register
def _(value: np.ndarray) -> Opened:
    return Opened([ArrayContents(value)] if is_saved_array(value) else [], [])


@open_object.register
def _(value: types.CellType) -> Opened:
    return Opened([CellContents(value)], [cell_value(value)])


@open_object.register
def _(value: types.MethodType) -> Opened:
    return Opened([], [value.__self__, value.__func__])


@open_object.register
def _(value: functools.partial) -> Opened:
    return Opened([], [value.func, value.args, value.keywords, vars(value)])


@open_object.register
def _(value: types.FunctionType) -> Opened:
    """A function: its closure, its defaults, its attributes and the variables of its module that it names."""
    use = code_use(value.__code__)
    contents, parts = [], [value.__defaults__, value.__kwdefaults__]
    if vars(value) or use.sets_attributes:
        parts.append(vars(value))
    for name, cell in zip(value.__code__.co_freevars, value.__closure__ or ()):
        if name in use.assigned:
            parts.append(cell)
        elif name not in use.only_appended:
            parts.append(cell_value(cell))
    if not is_foreign(value.__module__):
        scope = value.__globals__
        assigned = [name for name in sorted(use.assigned) if name in scope]
        if assigned:
            contents.append(NamedEntries(scope, assigned))
        named = [scope[name] for name in sorted(use.names - use.only_appended) if name in scope]
        parts += [part for part in named if not isinstance(part, type)]
    return Opened(contents, parts)


@open_object.register
def _(value: type) -> Opened:
    """A class: its variables, and its methods for what they refer to."""
    if is_foreign(value.__module__):
        return Opened([], [])
    variables = {name: part for name, part in vars(value).items() if not name.startswith("__")}
    data = {name: part for name, part in variables.items() if isinstance(part, CLASS_DATA)}
    methods = [
        part.__func__ if isinstance(part, classmethod | staticmethod) else part for part in variables.values()
    ]
    parts = [
        *(method for method in methods if isinstance(method, types.FunctionType)),
        vars(value).get("__call__"),
        *data.values(),
        *value.__bases__,
    ]
    return Opened([NamedAttributes(value, list(data))] if data else [], parts)
