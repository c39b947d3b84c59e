"""Iterators whose position can be read, and copies of them."""

import ast
import copy
import itertools

ITERATORS = (itertools.count, type(iter(())), type(iter([])), type(iter(range(1))))


def is_iterator(value: object) -> bool:
    """Tell whether a value is an iterator over numbers or a sequence, which can be copied."""
    return type(value) in ITERATORS


class SavedIterator:
    """The position of an iterator. The repr is equal for equal positions over equal items.

    >>> numbers = itertools.count(5, 2)
    >>> saved = SavedIterator(numbers)
    >>> next(numbers), next(numbers), next(saved.copy()), next(saved.copy())
    (5, 7, 5, 5)
    """

    def __init__(self, iterator: object) -> None:
        self._iterator = _copied(iterator)  # nothing advances this copy

    def copy(self) -> object:
        """An iterator at the saved position."""
        return _copied(self._iterator)

    def __repr__(self) -> str:
        counts = isinstance(self._iterator, itertools.count)
        return repr(self._iterator if counts else self._iterator.__reduce__())


def _copied(iterator: object) -> object:
    if not isinstance(iterator, itertools.count):
        return copy.copy(iterator)
    # Newer versions of Python cannot copy it. Its repr is count(start) or count(start, step).
    arguments = repr(iterator).removeprefix("count(").removesuffix(")")
    return itertools.count(*ast.literal_eval(f"[{arguments}]"))
