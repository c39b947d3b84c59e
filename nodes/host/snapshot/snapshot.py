"""A snapshot of every object that can be reached from some objects."""

from collections import deque
from collections.abc import Iterable

from .boundaries import PLAIN
from .contents import UNSET
from .opening import open_object


class Snapshot:
    """The contents of all objects that can be reached from some objects, at the moment it is made.

    Instances, classes, functions with their closures and containers are followed. Networks, model patchers
    and objects of other libraries are not followed, see `boundaries`. Neither are random generators, so code
    that works at random still does. A list that code only appends to is not restored: it is a record for a
    reader.

    Args:
        roots: The objects to begin with.
        ignored: Objects that are neither saved nor followed.

    Attributes:
        ids: The ids of the objects whose contents are saved.
    """

    def __init__(self, roots: Iterable[object], ignored: Iterable[object] = ()) -> None:
        self._contents = []
        # The references keep an object alive, so that no other object gets its id.
        self._seen = {id(value): value for value in ignored}
        waiting = deque(roots)
        while waiting:
            value = waiting.popleft()
            if value is UNSET or isinstance(value, PLAIN) or id(value) in self._seen:
                continue
            self._seen[id(value)] = value
            contents, parts = open_object(value)
            self._contents += contents
            waiting.extend(parts)
        self.ids = {id(contents.target) for contents in self._contents}

    def restore(self) -> None:
        """Give every object the contents that it had."""
        for contents in self._contents:
            contents.restore()

    def digest(self) -> list:
        """Describe the contents: equal contents give equal digests, even if other objects hold them."""
        return [contents.digest() for contents in self._contents]
