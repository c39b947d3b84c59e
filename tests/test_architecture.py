"""What may know of what, and what importing costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(
    path for folder in ("pullback_core", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_files_are_ascii(path):
    assert path.read_bytes().isascii()


IMPORT = """
import sys, torch
def state(): return torch.initial_seed(), torch.is_grad_enabled(), torch.get_default_dtype(), torch.get_num_threads()
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


@pytest.mark.parametrize(
    "path", sorted((ROOT / "pullback_core").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_function_of_the_core_imports_its_host(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(node.module.split(".")[0])
    assert not imported & {"comfy", "comfy_api", "comfy_extras", "folder_paths", "nodes", "torchvision"}


def test_mathematics_does_not_know_the_bundled_model():
    for path in (ROOT / "pullback_core").glob("*.py"):
        if path.name not in ("cli.py", "__main__.py"):
            assert "faces" not in path.read_text(), path.name
