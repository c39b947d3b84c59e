"""What one object contains: saved, restored in place and compared. Each kind of object has a class."""

from abc import ABC, abstractmethod
from collections import deque
from types import CellType

import numpy as np
import torch

from .boundaries import PLAIN
from .iterators import SavedIterator, is_iterator


class _Unset:
    """Stands for a variable or an attribute that has no value."""


UNSET = _Unset()


def cell_value(cell: CellType) -> object:
    """The value of a variable of a closure; `UNSET` where it has none."""
    try:
        return cell.cell_contents
    except ValueError:  # Python raises it for a variable without a value
        return UNSET


class Contents(ABC):
    """The contents of the object `target`, as they were when this was made."""

    def __init__(self, target: object) -> None:
        self.target = target

    @abstractmethod
    def restore(self) -> None:
        """Give the target its contents again. Contents that did not change are not written."""

    @abstractmethod
    def digest(self) -> object:
        """A value that is equal for equal contents."""


class MappingContents(Contents):
    """The entries of a dict, which can be the attributes of an instance. `ignored` names are left alone."""

    def __init__(self, target: dict, ignored: frozenset[str] = frozenset()) -> None:
        super().__init__(target)
        self._ignored = ignored
        self._saved = {name: _saved(value) for name, value in self._current().items()}

    def _current(self) -> dict:
        return {name: value for name, value in self.target.items() if name not in self._ignored}

    def restore(self) -> None:
        current = self._current()
        if _all_same([*current, *current.values()], [*self._saved, *self._saved.values()]):
            return
        for name in current:
            del self.target[name]
        self.target.update({name: _restored(value) for name, value in self._saved.items()})

    def digest(self) -> object:
        return [(_token(name), _token(value)) for name, value in self._saved.items()]


class NamedEntries(Contents):
    """Some entries of a dict, by name. The other entries are left alone."""

    def __init__(self, target: object, names: list[str]) -> None:
        super().__init__(target)
        self._saved = {name: _saved(self._get(name)) for name in names}

    def _get(self, name: str) -> object:
        return self.target.get(name, UNSET)

    def _set(self, name: str, value: object) -> None:
        self.target[name] = value

    def restore(self) -> None:
        for name, value in self._saved.items():
            if not _is_same(self._get(name), value):
                self._set(name, _restored(value))

    def digest(self) -> object:
        return [(name, _token(value)) for name, value in self._saved.items()]


class NamedAttributes(NamedEntries):
    """Some attributes of an instance or a class, by name. The other attributes are left alone."""

    def _get(self, name: str) -> object:
        return getattr(self.target, name, UNSET)

    def _set(self, name: str, value: object) -> None:
        setattr(self.target, name, value)


class ItemsContents(Contents):
    """The items of a list, deque or set."""

    def __init__(self, target: list | deque | set) -> None:
        super().__init__(target)
        self._saved = [_saved(value) for value in target]

    def restore(self) -> None:
        if _all_same(list(self.target), self._saved):
            return
        items = [_restored(value) for value in self._saved]
        self.target.clear()
        if isinstance(self.target, set):
            self.target.update(items)
        else:
            self.target.extend(items)

    def digest(self) -> object:
        tokens = [_token(value) for value in self._saved]
        return sorted(tokens, key=str) if isinstance(self.target, set) else tokens


class CellContents(Contents):
    """A variable of a closure."""

    def __init__(self, target: CellType) -> None:
        super().__init__(target)
        self._saved = _saved(cell_value(target))

    def restore(self) -> None:
        if _is_same(cell_value(self.target), self._saved):
            return
        if self._saved is UNSET:
            del self.target.cell_contents
        else:
            self.target.cell_contents = _restored(self._saved)

    def digest(self) -> object:
        return _token(self._saved)


class TensorContents(Contents):
    """The numbers of a tensor."""

    def __init__(self, target: torch.Tensor) -> None:
        super().__init__(target)
        self._saved = target.detach().clone()

    def restore(self) -> None:
        # Equal numbers are not written again: autograd may need the tensor unchanged for a backward pass.
        with torch.inference_mode():
            if self.target.shape == self._saved.shape and not torch.equal(self.target, self._saved):
                self.target.copy_(self._saved)

    def digest(self) -> object:
        numbers = self._saved.flatten().contiguous().view(torch.uint8).cpu().numpy()
        return tuple(self._saved.shape), numbers.tobytes()


class ArrayContents(Contents):
    """The numbers of a NumPy array."""

    def __init__(self, target: np.ndarray) -> None:
        super().__init__(target)
        self._saved = target.copy()

    def restore(self) -> None:
        if self.target.tobytes() != self._saved.tobytes():
            self.target[...] = self._saved

    def digest(self) -> object:
        return self._saved.shape, self._saved.tobytes()


def _saved(value: object) -> object:
    """A value as it is kept: an iterator by its position, anything else as it is."""
    return SavedIterator(value) if is_iterator(value) else value


def _restored(saved: object) -> object:
    return saved.copy() if isinstance(saved, SavedIterator) else saved


def _is_same(value: object, saved: object) -> bool:
    equal = type(value) is type(saved) and isinstance(value, PLAIN) and value == saved
    return value is saved or equal


def _all_same(values: list, saved: list) -> bool:
    return len(values) == len(saved) and all(map(_is_same, values, saved))


def _token(value: object) -> object:
    """Describe a plain value by itself, another object by its type: its contents have their own digest."""
    if isinstance(value, tuple):
        return tuple(_token(part) for part in value)
    return repr(value) if isinstance(value, (*PLAIN, SavedIterator)) else type(value).__qualname__
