"""The rules of the house: who may import whom, how long functions and files may be, and where tests are.

docs/architecture.md has the table of the rooms and their imports. The tests read that table.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import architecture

ROOT = Path(__file__).parents[1]
LONGEST_FUNCTION = 60  # lines
LONGEST_FILE = 300  # lines

CODE = [
    path
    for folder in ("pullback_core", "nodes", "benchmarks", "tests", "notebooks")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if "node_modules" not in path.parts
] + [ROOT / "__init__.py"]
SOURCE = [path for path in CODE if path.relative_to(ROOT).parts[0] not in ("tests", "notebooks")]
CORE = [path for path in SOURCE if path.relative_to(ROOT).parts[0] == "pullback_core"]
NODES = [path for path in SOURCE if path.parent == ROOT / "nodes"]

# Network coordinates are private to these files: v is orthonormal there, and the probe has length 1.
KNOWS_NETWORK_COORDINATES = (
    "pullback_core/linalg/",
    "pullback_core/models/schedule.py",
    "pullback_core/guidance.py",
    "pullback_core/local_basis.py",
    "pullback_core/compare_features.py",
)


def name_of(path):
    """The path of a file as the rules write it, from the top of the repository and with forward slashes."""
    return path.relative_to(ROOT).as_posix()


def nodes_of(path, *kinds):
    """The syntax nodes of these kinds in a file."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


def lines_of(node):
    return node.end_lineno - node.lineno + 1


def called_name(call):
    """The last part of the name that is called: `g` for `f.g(x)`."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", None)


def test_source_files_are_ascii():
    assert [name_of(path) for path in CODE if not path.read_bytes().isascii()] == []


def test_no_function_is_too_long():
    long = [
        f"{name_of(path)}:{node.lineno} {node.name}, {lines_of(node)} lines"
        for path in SOURCE
        for node in nodes_of(path, ast.FunctionDef, ast.AsyncFunctionDef)
        if lines_of(node) > LONGEST_FUNCTION
    ]
    assert long == []


def test_no_source_file_is_too_long():
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in SOURCE}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_lambda_spans_lines():
    wide = [
        f"{name_of(path)}:{node.lineno}"
        for path in SOURCE
        for node in nodes_of(path, ast.Lambda)
        if node.end_lineno > node.lineno
    ]
    assert wide == []


def test_options_are_read_by_their_names():
    guessed = [
        f"{name_of(path)}:{call.lineno}"
        for path in SOURCE
        for call in nodes_of(path, ast.Call)
        if called_name(call) == "getattr" and getattr(call.args[0], "id", None) == "options"
    ]
    assert guessed == []


def test_only_tests_use_mocks():
    assert [name_of(path) for path in SOURCE if "unittest" in architecture.imported_packages(path)] == []


def test_network_coordinates_stay_private():
    calls = [
        f"{name_of(path)}:{call.lineno}"
        for path in SOURCE
        if not name_of(path).startswith(KNOWS_NETWORK_COORDINATES)
        for call in nodes_of(path, ast.Call)
        if called_name(call) in ("to_network", "from_network")
    ]
    assert calls == []


HOST_INTERNALS = {"comfy", "comfy_extras", "comfy_execution", "folder_paths", "server"}


@pytest.mark.parametrize("path", CORE, ids=name_of)
def test_the_core_does_not_know_comfyui(path):
    assert not architecture.imported_packages(path) & {*HOST_INTERNALS, "comfy_api", "nodes", "torchvision"}


@pytest.mark.parametrize("path", NODES, ids=name_of)
def test_nodes_know_only_the_public_api_of_comfyui(path):
    assert not architecture.imported_packages(path) & HOST_INTERNALS


ROOMS = architecture.read_rooms()
IMPORTS = architecture.import_graph()


def test_every_module_has_a_room():
    assert [module for module in IMPORTS if not architecture.room_of(module, ROOMS)] == []
    assert len({room.name for room in ROOMS}) == len(ROOMS) >= 10


def test_rooms_import_lower_rooms_alone():
    floors = {room.name: room.floor for room in ROOMS}
    upwards = [(room.name, name) for room in ROOMS for name in room.may_import if floors[name] >= room.floor]
    assert upwards == []


def test_every_import_is_in_the_table_and_every_entry_of_the_table_is_used():
    found = {room.name: set() for room in ROOMS}
    for source, target in architecture.room_imports(IMPORTS, ROOMS):
        found[source.name].add(target.name)
    assert found == {room.name: set(room.may_import) for room in ROOMS}


def test_no_modules_import_each_other_in_a_circle():
    assert architecture.find_circle(IMPORTS) == []
    assert set(architecture.find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}


def test_the_drawing_of_the_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["architecture", "--out", str(tmp_path / "drawing.png")])
    architecture.main()
    assert (tmp_path / "drawing.png").read_bytes().startswith(b"\x89PNG")


# Modules, or folders of modules, without a test file of their name, and where their tests are.
TESTED_IN = {
    "nodes/host/faces_model": "tests/host/test_faces.py",
    "nodes/host/level_memory/": "tests/host/test_level_memory.py",
    "nodes/host/origins": "tests/host/test_latents.py",
    "nodes/host/plots": "tests/host/nodes/test_basis_visualizer.py",
    "nodes/host/snapshot/": "tests/host/test_snapshot.py",
    "nodes/host/words": "tests/host/nodes/test_word_direction.py",
    "nodes/inputs": "tests/host/nodes/test_every_node.py",
    "pullback_core/cli/arguments": "tests/cli/test_main.py",
    "pullback_core/evaluate/page_of_uses": "tests/evaluate/test_page.py",
    "pullback_core/directions/shifts": "tests/directions/test_words.py",
    "pullback_core/faces/loss": "tests/faces/test_train.py",
    "pullback_core/faces/workers": "tests/faces/test_train.py",
    "pullback_core/linalg/linear_operator": "tests/linalg/test_svd.py",
    "pullback_core/linalg/precision": "tests/linalg/test_jacobian.py",
    "pullback_core/models/denoiser": "tests/models/diffusers/test_denoiser.py",
    "pullback_core/models/log_sigmas": "tests/models/test_schedule.py",
    "pullback_core/study/findings/": "tests/study/test_run.py",
    "pullback_core/tensor_files": "tests/test_basis_file.py",
}


def mirror_of(module):
    """The test file of a module by its name, as CONTRIBUTING.md says."""
    folder, _, name = module.rpartition("/")
    if not module.startswith("nodes/host/"):
        folder = folder.replace("nodes", "nodes/host/nodes", 1)
    folder = folder.removeprefix("nodes").removeprefix("pullback_core").strip("/")
    return ROOT / "tests" / folder / f"test_{name}.py"


def test_every_module_has_its_test_file():
    modules = [module for module in IMPORTS if not module.endswith("__")]
    lacking = [module for module in modules if not mirror_of(module).is_file()]
    assert [module for module in lacking if not module.startswith(tuple(TESTED_IN))] == []
    assert [name for name in TESTED_IN if not any(module.startswith(name) for module in lacking)] == []
    assert [path for path in TESTED_IN.values() if not (ROOT / path).is_file()] == []


IMPORT = """
import sys, torch
def state():
    return torch.initial_seed(), torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
before = state()
import pullback_core
assert state() == before, "importing it changed torch"
print(*{name.split('.')[0] for name in sys.modules})
"""


def test_importing_the_core_is_cheap_and_silent_and_changes_nothing():
    done = subprocess.run(
        [sys.executable, "-c", IMPORT], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = done.stdout.split()
    assert "pullback_core" in loaded and done.stdout.count("\n") == 1 and not done.stderr
    assert not {"comfy", "nodes", "matplotlib", "PIL", "torchvision"} & set(loaded)
