"""Reads who imports whom, and draws it as the floors of a house: `python -m benchmarks.architecture`.

The table in docs/architecture.md has the floors and what each room may import. The code has the arrows.
"""

import ast
import re
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "images" / "architecture.png"

PAPER, INK, FAINT, LINE = "#fbfaf6", "#2b2b33", "#77777f", "#6b6f8a"
COLORS = (
    "#e7d8c5",
    "#f0e3c0",
    "#dfe8cf",
    "#cfe5dc",
    "#cfe0ee",
    "#d8d6ef",
    "#e8d3e6",
    "#f2d5d3",
    "#f5e0cf",
    "#f3ead0",
)
BOX, SPREAD = (1.75, 0.62), 2.1  # of a room, and between rooms of one floor
ASIDE = 0.75  # how far from the middle of a box its arrows to the side are


class Room(NamedTuple):
    """One row of the table: modules that belong together.

    Attributes:
        floor: 1 is the lowest.
        name: Its name in the table.
        members: Modules, or packages with all that is in them, as `pullback_core.linalg`.
        purpose: What it is, in a few words.
        may_import: The names of the rooms that it may import, besides itself.
    """

    floor: int
    name: str
    members: tuple[str, ...]
    purpose: str
    may_import: tuple[str, ...]


def read_rooms() -> list[Room]:
    """The rooms in the table of the page, from the top floor to the lowest."""
    rooms = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].isdigit():
            floor, name, members, _, imports = cells
            names = () if imports == "nothing" else tuple(imports.split(", "))
            rooms.append(Room(int(floor), name, tuple(re.findall(r"`(.+?)`", members)), names))
    return rooms


def room_of(path: str, rooms: list[Room]) -> Room | None:
    """The room of a module. A row that names the module itself goes before a row that names its folder."""
    named = [room for room in rooms if path in room.members]
    return next((room for room in [*named, *rooms] if room.has(path)), None)


def source_modules() -> dict[str, Path]:
    """{name: file} of the modules of pullback_core and of the nodes, with names as "nodes/host/check"."""
    files = [file for folder in ("pullback_core", "nodes") for file in sorted((ROOT / folder).rglob("*.py"))]
    return {file.relative_to(ROOT).with_suffix("").as_posix(): file for file in files}


def imported_names(file: Path) -> set[str]:
    """All that a file imports, as "torch/nn/functional", and what is of this repository by its path.

    Imports within functions count too. `from a import b` gives a/b, because b may be a module.
    """
    folder = file.relative_to(ROOT).parts[:-1]
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.replace(".", "/") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            start = [*above, *(node.module.split(".") if node.module else ())]
            names |= {"/".join([*start, alias.name]) for alias in node.names}
    return names


def imported_packages(file: Path) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.split("/")[0] for name in imported_names(file)}


def import_graph() -> dict[str, set[str]]:
    """{module: the modules of this project that it imports}. A package is its `__init__`."""
    modules = source_modules()

    def module_of(name: str) -> str | None:
        places = (name, f"{name}/__init__", name.rpartition("/")[0], f"{name.rpartition('/')[0]}/__init__")
        return next((place for place in places if place in modules), None)

    graph = {}
    for module, file in modules.items():
        found = {module_of(name) for name in imported_names(file)}
        graph[module] = {target for target in found if target} - {module}
    return graph


def find_circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules of which each imports the next, and the last the first; empty if there are none."""
    done = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        found = []
        if module not in done:
            found = next(
                filter(None, (visit(target, [*way, module]) for target in sorted(graph[module]))), []
            )
            done.add(module)
        return found

    return next(filter(None, (visit(module, []) for module in sorted(graph))), [])
