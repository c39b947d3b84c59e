"""Reads who imports whom, and draws it as the floors of a house: `python -m benchmarks.architecture`.

The rooms come from the table in docs/architecture.md, and the arrows from the source.
"""

import argparse
import ast
import re
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PICTURE = ROOT / "docs" / "images" / "architecture.png"


class Room(NamedTuple):
    """One row of the table: modules that belong together.

    Attributes:
        floor: 1 is the lowest.
        name: Its name in the table.
        members: Paths of modules, of folders with all that is in them ("/" at the end), or of the modules
            that lie directly in a folder ("/*" at the end).
        purpose: What it is, in a few words.
        may_import: The names of the rooms that it may import, besides itself.
    """

    floor: int
    name: str
    members: tuple[str, ...]
    purpose: str
    may_import: tuple[str, ...]

    def has(self, path: str) -> bool:
        """Tell whether a module, as "nodes/host/check", is in this room."""
        folder = path.rpartition("/")[0]
        return any(
            path.startswith(member) if member.endswith("/") else member in (path, f"{folder}/*")
            for member in self.members
        )

    def short_name(self, path: str) -> str:
        """The name of a module in its room, or the name of its folder there, as "diffusers/"."""
        for member in self.members:
            if member.endswith("/") and path.startswith(member):
                first, *deeper = path.removeprefix(member).split("/")
                return f"{first}/" if deeper else first
        return path.rpartition("/")[2]


def read_rooms() -> list[Room]:
    """The rooms in the table of the page, from the top floor to the lowest."""
    rooms = []
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].isdigit():
            floor, name, members, purpose, imports = cells
            names = () if imports == "nothing" else tuple(imports.split(", "))
            rooms.append(Room(int(floor), name, tuple(re.findall(r"`(.+?)`", members)), purpose, names))
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


def room_imports(graph: dict[str, set[str]], rooms: list[Room]) -> dict[tuple[Room, Room], int]:
    """{(room, the room that it imports): how many imports of modules}."""
    rooms_of = {module: room_of(module, rooms) for module in graph}
    pairs = [(rooms_of[module], rooms_of[target]) for module in graph for target in graph[module]]
    return Counter(pair for pair in pairs if None not in pair and pair[0] != pair[1])


def follows_from_others(pair: tuple[Room, Room], pairs: Iterable[tuple[Room, Room]]) -> bool:
    """Tell whether one room reaches another through a third one, too."""
    direct = defaultdict(set)
    for source, target in pairs:
        direct[source].add(target)

    def reaches(source: Room, target: Room) -> bool:
        return target in direct[source] or any(reaches(between, target) for between in direct[source])

    source, target = pair
    return any(reaches(between, target) for between in direct[source] if between != target)


class Drawing:
    """A drawing of rooms as boxes and of imports as lines that go around the boxes.

    Args:
        rooms: The rooms, floor by floor.
    """

    WIDTH, HEIGHT = 3.5, 1.12  # of a box
    COLUMN, FLOOR = 5.4, 2.1  # from one box to the next, and from one floor to the next
    MARGIN, LANE = 0.3, 0.14  # from a box to a line beside it, and from one line to the next
    COLORS = ("#c8553d", "#d98e2b", "#8a9a3b", "#3f8f6b", "#2f7f9d", "#4d62a8", "#85539b")
    PAPER, INK, QUIET = "#fbfaf7", "#26262e", "#66666f"

    def __init__(self, rooms: list[Room]) -> None:
        from matplotlib.figure import Figure

        floors = {room.floor for room in rooms}
        self.figure = Figure(figsize=(15.5, 2.1 * len(floors) + 1.3), facecolor=self.PAPER)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_axis_off()
        self.axes.set_xlim(-8.1, 8.1)
        top = self.FLOOR * len(floors) + self.HEIGHT
        self.axes.set_ylim(1.2, top + 1.1)
        self._write(0, top + 0.65, "Who imports whom", size=24, weight="bold")
        note = "Every arrow is an import and goes down. Pale arrows join rooms that strong arrows join too."
        self._write(0, top + 0.22, note, size=11, color=self.QUIET)
        self.rooms, self.places = rooms, {}
        self.lines = defaultdict(list)  # floor -> where lines cross it
        for floor in floors:
            on_floor = [room for room in rooms if room.floor == floor]
            for index, room in enumerate(on_floor):
                x = (index - (len(on_floor) - 1) / 2) * self.COLUMN
                self.places[room] = (x, self.FLOOR * floor)

    def color(self, room: Room) -> str:
        """The colour of a room: that of its floor."""
        return self.COLORS[(room.floor - 1) % len(self.COLORS)]

    def draw_rooms(self, graph: dict[str, set[str]]) -> None:
        """Draw the boxes, with what the table says of each and the names of its modules."""
        from matplotlib.patches import FancyBboxPatch

        for room, (x, y) in self.places.items():
            corner = (x - self.WIDTH / 2, y - self.HEIGHT / 2)
            style = "round,pad=0,rounding_size=0.12"
            for face, line in (("white", "none"), (f"{self.color(room)}26", self.color(room))):
                box = FancyBboxPatch(
                    corner, self.WIDTH, self.HEIGHT, boxstyle=style, fc=face, ec=line, lw=1.8, zorder=3
                )
                self.axes.add_patch(box)
            names = [room.short_name(module) for module in graph if room_of(module, self.rooms) == room]
            text = text_of(names)
            lower = 0 if text else 0.14  # a box without names has its texts in the middle
            self._write(x, y + 0.32 - lower, room.name, size=15, weight="bold")
            self._write(x, y + 0.02 - lower, room.purpose.replace("`", ""), size=9)
            self._write(x, y - 0.32, text, size=7.4, color=self.QUIET)

    def _write(self, x: float, y: float, text: str, **options: object) -> None:
        self.axes.text(
            x, y, text, **{"ha": "center", "va": "center", "color": self.INK, "zorder": 4, **options}
        )

    def draw_imports(self, imports: dict[tuple[Room, Room], int]) -> None:
        """Draw the imports: strong lines, and pale ones where a strong way leads there too."""
        ends = self._ends(imports)
        order = [
            (follows_from_others(pair, imports), pair[0].floor - pair[1].floor, pair) for pair in imports
        ]
        for pale, _, pair in sorted(order, key=lambda entry: entry[:2]):
            self._draw_line(self._way(pair, ends[pair]), self.color(pair[0]), pale)

    def _ends(self, imports: dict[tuple[Room, Room], int]) -> dict[tuple[Room, Room], tuple[float, float]]:
        """Where each line leaves its room and where it arrives, so that lines cross little."""
        ends = {}
        for side in (0, 1):
            for room, (x, _) in self.places.items():
                pairs = sorted(
                    (pair for pair in imports if pair[side] == room),
                    key=lambda pair: (self.places[pair[1 - side]][0], pair[1 - side].floor),
                )
                step = min(0.4, 0.85 * self.WIDTH / max(1, len(pairs)))
                for index, pair in enumerate(pairs):
                    ends[pair, side] = x + (index - (len(pairs) - 1) / 2) * step
        return {pair: (ends[pair, 0], ends[pair, 1]) for pair in imports}

    def _way(self, pair: tuple[Room, Room], ends: tuple[float, float]) -> list[tuple[float, float]]:
        """The corners of a line: its ends, and the gaps between boxes through which it passes."""
        top, bottom = (self.places[room][1] for room in pair)
        way = [(ends[0], top - self.HEIGHT / 2)]
        for floor in range(pair[0].floor - 1, pair[1].floor, -1):
            y = self.FLOOR * floor
            share = (top - y) / (top - bottom)
            x = self._gap(floor, ends[0] + share * (ends[1] - ends[0]))
            way += [(x, y + self.HEIGHT / 2), (x, y - self.HEIGHT / 2)]
        return [*way, (ends[1], bottom + self.HEIGHT / 2)]

    def _gap(self, floor: int, wanted: float) -> float:
        """The free place on a floor that is nearest to a wanted one."""
        boxes = [place[0] for room, place in self.places.items() if room.floor == floor]
        for steps in range(200):
            for x in (wanted + steps * 0.05, wanted - steps * 0.05):
                beside = all(abs(x - box) >= self.WIDTH / 2 + self.MARGIN for box in boxes)
                if beside and all(abs(x - line) >= self.LANE for line in self.lines[floor]):
                    self.lines[floor].append(x)
                    return x
        return wanted

    def _draw_line(self, way: list[tuple[float, float]], color: str, pale: bool) -> None:
        from matplotlib.patches import FancyArrowPatch
        from matplotlib.path import Path as Curve

        points, codes = [way[0]], [Curve.MOVETO]
        for (x0, y0), (x1, y1) in pairwise(way):
            middle = (y0 + y1) / 2
            points += [(x0, middle), (x1, middle), (x1, y1)]
            codes += [Curve.CURVE4] * 3
        look = {"lw": 1.0, "alpha": 0.4, "mutation_scale": 9} if pale else {"lw": 2.4, "mutation_scale": 16}
        arrow = FancyArrowPatch(
            path=Curve(points, codes), arrowstyle="-|>", color=color, zorder=1 if pale else 2, **look
        )
        self.axes.add_patch(arrow)


def text_of(names: list[str], width: int = 56) -> str:
    """Names in two lines, each name once and without `__init__`, with "..." where there are more."""
    shown = dict.fromkeys(name for name in names if not name.startswith("__"))
    lines = textwrap.wrap(", ".join(shown), width)
    return "\n".join(lines) if len(lines) < 3 else f"{lines[0]}\n{lines[1].rstrip(',')} ..."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=PICTURE, help="the PNG to write")
    out = parser.parse_args().out
    rooms, graph = read_rooms(), import_graph()
    drawing = Drawing(rooms)
    drawing.draw_rooms(graph)
    drawing.draw_imports(room_imports(graph, rooms))
    out.parent.mkdir(parents=True, exist_ok=True)
    drawing.figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
