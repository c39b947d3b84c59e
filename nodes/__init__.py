"""The pack's nodes. Each reads its inputs, calls the core through the host adapter, and wraps the result.

Every subclass of `io.ComfyNode` that a module of this package defines is a node of the pack. There is no
other list. `MENU_POSITION`, a class attribute, is the place of a node in menus and in the README.
`CONTRIBUTING.md` has the recipe for a new node.
"""

from importlib import import_module
from pkgutil import iter_modules

from comfy_api.latest import ComfyExtension, io


def collect_nodes():
    """The node classes of this package's modules, sorted by `MENU_POSITION` and then by name."""
    nodes = []
    for found in iter_modules(__path__):
        if found.ispkg:  # the host adapter
            continue
        module = import_module(f"{__name__}.{found.name}")
        nodes += [value for value in vars(module).values() if _is_node_of(value, module)]
    return sorted(nodes, key=_place)


def _is_node_of(value, module):
    """Whether a value is a node class that this module defines, and not one that it imports."""
    return isinstance(value, type) and issubclass(value, io.ComfyNode) and value.__module__ == module.__name__


def _place(node):
    return node.MENU_POSITION, node.__name__


class PullbackExtension(ComfyExtension):
    """What ComfyUI gets from the pack."""

    async def get_node_list(self):
        return collect_nodes()
