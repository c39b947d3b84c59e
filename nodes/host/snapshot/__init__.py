"""Save and restore what Python objects contain: attributes, closures, containers, small arrays, iterators.

The objects themselves stay in place, so everything that refers to them sees the restored contents.

- `snapshot.py` walks from some objects to all that they refer to.
- `opening.py` says for each kind of object what it contains and what it refers to.
- `contents.py` saves, restores and compares one object.
- `boundaries.py` says where the walk ends.
- `code_use.py` reads from bytecode which variables a function can change.
"""

from .boundaries import CLOSED, PLAIN
from .opening import ModuleAttributes
from .snapshot import Snapshot

__all__ = ["CLOSED", "PLAIN", "ModuleAttributes", "Snapshot"]
