"""The contents of Python objects, saved and put back in place: attributes, closures, containers and small arrays.

An object keeps its identity, so everything that refers to it sees the restored contents.
"""

import ast
import collections
import dis
import functools
import itertools
import sys
import types

import comfy.controlnet
import comfy.hooks
import comfy.model_patcher
import comfy.patcher_extension
import comfy.sd
import numpy as np
import torch

PLAIN = (int, float, complex, str, bytes, type(None), type(...), torch.dtype, torch.device, torch.Size)
LARGEST = 2**24  # bytes of an array whose numbers are saved; of a larger one, only which array it is
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
OPENED = (
    comfy.hooks.Hook,
    comfy.hooks.HookGroup,
    comfy.hooks.HookKeyframeGroup,
    comfy.hooks.HookKeyframe,
    comfy.controlnet.ControlBase,
    comfy.patcher_extension.PatcherInjection,
    types.SimpleNamespace,
)
CLOSED = (torch.nn.Module, comfy.model_patcher.ModelPatcher, comfy.sd.VAE, comfy.sd.CLIP, types.ModuleType)
# Of ControlNets, what depends on the size of the latent alone, and of hooks, weights: slow to make again, and no memory of levels.
CONTROL_CACHES = frozenset({"cond_hint", "extra_concat", "control_input"})
HOOK_WEIGHTS = frozenset({"weights", "weights_clip", "hook_ref"})
STORE, SETS_ATTRIBUTES = "=", ".="  # how code uses a name; no names themselves
OF_MODULES = frozenset(vars(torch.nn.Module()))
ITERATORS = (itertools.count, type(iter(())), type(iter([])), type(iter(range(1))))


class Attributes:
    """Stands for the own attributes of a module, as a root of a `Snapshot`: not its weights, and not the modules in it."""

    def __init__(self, module):
        self.module = module


class Snapshot:
    """What can be reached from some objects and can change: instances, functions with their closures, containers, arrays.

    Networks, patchers of models and objects of other libraries are not opened; neither are random generators, so what works at
    random still does. A list that code only appends to is a record for some reader, and is left alone.
    """

    def __init__(self, roots, ignored=()):
        self._saved, self._seen = [], {id(value): value for value in ignored}
        self.ids = set()  # of the objects with saved contents
        waiting = collections.deque(roots)
        while waiting:
            value = waiting.popleft()
            if isinstance(value, PLAIN) or id(value) in self._seen:
                continue
            self._seen[id(value)] = value  # the reference keeps the id from being used again
            saved, parts = _opened(value)
            self.ids.update(id(one.target) for one in saved)
            self._saved += saved
            waiting.extend(parts)

    def __bool__(self):
        return bool(self._saved)

    def restore(self):
        for saved in self._saved:
            saved.restore()

    def digest(self):
        """Equal for equal contents, whichever objects hold them."""
        return [saved.digest() for saved in self._saved]


class _Mapping:
    """A dict, or the attributes of an instance. ignored: names that are neither saved nor restored."""

    def __init__(self, target, ignored=frozenset()):
        self.target, self._ignored = target, ignored
        self.kept = {name: _held(value) for name, value in self._current().items()}

    def _current(self):
        return {name: value for name, value in self.target.items() if name not in self._ignored}

    def restore(self):
        current = self._current()
        if len(current) == len(self.kept) and all(
            map(_is, [*current, *current.values()], [*self.kept, *self.kept.values()])
        ):
            return
        for name in current:
            del self.target[name]
        self.target.update({name: _given(value) for name, value in self.kept.items()})

    def digest(self):
        return [(_token(name), _token(value)) for name, value in self.kept.items()]


class _Named:
    """Some entries of a dict, or attributes of a class, by name; others are left alone."""

    def __init__(self, target, values, put):
        self.target, self._put = target, put
        self.kept = {name: _held(value) for name, value in values.items()}

    def restore(self):
        current = self.target if isinstance(self.target, dict) else vars(self.target)
        for name, value in self.kept.items():
            if name not in current or not _is(current[name], value):
                self._put(self.target, name, _given(value))

    def digest(self):
        return [(name, _token(value)) for name, value in self.kept.items()]


class _Items:
    """A list, deque or set."""

    def __init__(self, target):
        self.target, self.kept = target, [_held(value) for value in target]

    def restore(self):
        if len(self.target) == len(self.kept) and all(map(_is, self.target, self.kept)):
            return
        self.target.clear()
        add = self.target.update if isinstance(self.target, set) else self.target.extend
        add(map(_given, self.kept))

    def digest(self):
        tokens = [_token(value) for value in self.kept]
        return sorted(tokens, key=str) if isinstance(self.target, set) else tokens


class _Cell:
    """A variable of a closure, which may be unset."""

    def __init__(self, target):
        self.target, self.kept = target, _held(_content(target))

    def restore(self):
        if not _is(_content(self.target), self.kept):
            if self.kept is _UNSET:
                del self.target.cell_contents
            else:
                self.target.cell_contents = _given(self.kept)

    def digest(self):
        return _token(self.kept)


class _Numbers:
    """A small tensor or NumPy array."""

    def __init__(self, target):
        self.target = target
        self.kept = target.detach().clone() if isinstance(target, torch.Tensor) else target.copy()

    def restore(self):
        if isinstance(self.target, np.ndarray):
            if self.target.tobytes() != self.kept.tobytes():
                self.target[...] = self.kept
            return
        # Written only where it differs: autograd may hold the tensor for a backward pass.
        with torch.inference_mode():
            if self.target.shape == self.kept.shape and not torch.equal(self.target, self.kept):
                self.target.copy_(self.kept)

    def digest(self):
        if isinstance(self.kept, np.ndarray):
            return self.kept.shape, self.kept.tobytes()
        return tuple(self.kept.shape), self.kept.flatten().contiguous().view(
            torch.uint8
        ).cpu().numpy().tobytes()


class _Unset:
    pass


_UNSET = _Unset()


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # how Python says that the variable is unset
        return _UNSET


class _Iterator:
    """A copy of an iterator over numbers or a sequence, which stays where it is."""

    def __init__(self, iterator):
        self._iterator = iterator

    def copy(self):
        if isinstance(self._iterator, itertools.count):
            return itertools.count(*ast.literal_eval(f"({str(self._iterator).removeprefix('count(')[:-1]},)"))
        kind, arguments, *state = self._iterator.__reduce__()
        copied = kind(*arguments)
        if state:
            copied.__setstate__(state[0])
        return copied


def _held(value):
    return _Iterator(_Iterator(value).copy()) if type(value) in ITERATORS else value


def _given(kept):
    return kept.copy() if isinstance(kept, _Iterator) else kept


def _is(value, kept):
    return value is kept or (type(value) is type(kept) and isinstance(value, PLAIN) and value == kept)


def _token(value):
    """Tells plain values apart, and anything else by its type: what it holds has an entry of its own in the snapshot."""
    if isinstance(value, PLAIN):
        return repr(value)
    if isinstance(value, tuple):
        return tuple(_token(part) for part in value)
    if isinstance(value, _Iterator):
        return (
            repr(value.copy().__reduce__())
            if not isinstance(value.copy(), itertools.count)
            else repr(value.copy())
        )
    return type(value).__qualname__


def _opened(value):
    """(saved contents, parts to open next) of a value."""
    if isinstance(value, Attributes):
        return _opened_attributes(vars(value.module), OF_MODULES)
    if isinstance(value, dict | list | set | collections.deque):
        saved, parts = (
            _opened_attributes(value) if isinstance(value, dict) else ([_Items(value)], list(value))
        )
        return saved, [*parts, *([vars(value)] if hasattr(value, "__dict__") else [])]
    if isinstance(value, tuple | frozenset):
        return [], list(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        return [_Numbers(value)] if _is_small(value) else [], []
    if isinstance(value, types.CellType):
        return [_Cell(value)], [_content(value)]
    if isinstance(value, types.FunctionType):
        return _opened_function(value)
    if isinstance(value, types.MethodType):
        return [], [value.__self__, value.__func__]
    if isinstance(value, functools.partial):
        return [], [value.func, value.args, value.keywords, vars(value)]
    if isinstance(value, type):
        return _opened_class(value)
    return _opened_instance(value)


def _is_small(array):
    if isinstance(array, np.ndarray):
        return array.nbytes <= LARGEST and not array.dtype.hasobject
    return (
        type(array) is torch.Tensor
        and array.layout is torch.strided
        and not array.is_meta
        and array.nbytes <= LARGEST
    )


def _opened_attributes(attributes, ignored=frozenset(), records=frozenset()):
    saved = _Mapping(attributes, ignored)
    return [saved], [value for name, value in saved.kept.items() if name not in records]


def _opened_function(function):
    """A function's closure, defaults and own attributes, and the variables of its module that it names."""
    uses = _uses(function.__code__)
    saved, parts = [], [function.__defaults__, function.__kwdefaults__]
    if vars(function) or SETS_ATTRIBUTES in uses:
        parts.append(vars(function))
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or ()):
        if STORE in uses.get(name, ()):  # no other function changes the variable itself
            parts.append(cell)
        if not _is_record(uses.get(name)):
            parts.append(_content(cell))
    if not _is_foreign(function.__module__):
        scope = function.__globals__
        named = {name: scope[name] for name in uses if name in scope and not _is_record(uses[name])}
        stored = {name: value for name, value in named.items() if STORE in uses.get(name, ())}
        saved += [_Named(scope, stored, dict.__setitem__)] if stored else []
        parts += [value for value in named.values() if not isinstance(value, type)]
    return saved, parts


def _opened_class(kind):
    """The variables of a class. Its methods are opened with it, for what they refer to."""
    if _is_foreign(kind.__module__):
        return [], []
    values = {name: value for name, value in vars(kind).items() if not name.startswith("__")}
    data = {
        name: value
        for name, value in values.items()
        if isinstance(value, (*PLAIN, list, dict, set, tuple, collections.deque))
    }
    methods = [
        value.__func__ if isinstance(value, classmethod | staticmethod) else value
        for value in values.values()
    ]
    call = vars(kind).get("__call__")
    parts = [
        *(value for value in methods if isinstance(value, types.FunctionType)),
        call,
        *data.values(),
        *kind.__bases__,
    ]
    return [_Named(kind, data, setattr)] if data else [], parts


def _opened_instance(value):
    kind = type(value)
    if isinstance(value, CLOSED) and (_is_foreign(kind.__module__) or not isinstance(value, torch.nn.Module)):
        return [], []
    if _is_foreign(kind.__module__) and not isinstance(value, OPENED):
        return [], []
    saved, parts = [], [kind]
    if hasattr(value, "__dict__"):
        saved, more = _opened_attributes(vars(value), _ignored_attributes(value), _records_of(kind))
        parts += more
    slots = {
        name: getattr(value, name)
        for base in kind.__mro__
        for name in _slots(base)
        if name not in ("__dict__", "__weakref__") and hasattr(value, name)
    }
    if slots:
        saved = [*saved, _Slots(value, slots)]
        parts += slots.values()
    return saved, parts


def _ignored_attributes(value):
    if isinstance(value, torch.nn.Module):
        return OF_MODULES
    if isinstance(value, comfy.controlnet.ControlBase):
        return CONTROL_CACHES
    return HOOK_WEIGHTS if isinstance(value, comfy.hooks.Hook) else frozenset()


class _Slots:
    """The slots of an instance."""

    def __init__(self, target, values):
        self.target, self.kept = target, {name: _held(value) for name, value in values.items()}

    def restore(self):
        for name, value in self.kept.items():
            if not _is(getattr(self.target, name, _UNSET), value):
                setattr(self.target, name, _given(value))

    def digest(self):
        return [(name, _token(value)) for name, value in self.kept.items()]


def _slots(kind):
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_foreign(module):
    return (module or "builtins").partition(".")[0] in FOREIGN


@functools.lru_cache(maxsize=4096)
def _uses(code):
    """name -> how code uses it: STORE, or the name of what is done next, such as "append". Inner functions count as well."""
    uses = collections.defaultdict(list)
    instructions = [
        one for one in dis.get_instructions(code) if one.opname not in ("CACHE", "PUSH_NULL", "LOAD_CLOSURE")
    ]
    for one, following in itertools.pairwise([*instructions, None]):
        if one.opname == "STORE_ATTR":
            uses[SETS_ATTRIBUTES].append(one.argval)
        elif one.opname in ("STORE_DEREF", "STORE_GLOBAL"):
            uses[one.argval].append(STORE)
        elif one.opname.startswith("LOAD_") and "FAST" not in one.opname and isinstance(one.argval, str):
            uses[one.argval].append(following and str(following.argval))
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for name, used in _uses(constant).items():
                uses[name] += used
    return uses


def _is_record(used):
    """Whether a list is only appended to."""
    return bool(used) and set(used) == {"append"}


@functools.lru_cache(maxsize=4096)
def _records_of(kind):
    """Attributes that no method of a class uses but to append to them."""
    uses = collections.defaultdict(list)
    for base in kind.__mro__:
        if not _is_foreign(base.__module__):
            for method in vars(base).values():
                if isinstance(method, types.FunctionType):
                    for name, used in _uses(method.__code__).items():
                        uses[name] += used
    return frozenset(name for name, used in uses.items() if _is_record(used))
