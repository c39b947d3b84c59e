"""What may know of what, and what importing costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for folder in ("pullback_core", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_source_files_are_ascii(path):
    assert path.read_bytes().isascii()


def test_the_core_imports_neither_its_host_nor_what_is_slow():
    script = "import sys, pullback_core; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert "pullback_core" in loaded
    assert not {"comfy", "nodes", "matplotlib", "PIL"} & set(loaded)


def test_mathematics_does_not_know_the_bundled_model():
    for path in (ROOT / "pullback_core").glob("*.py"):
        if path.name not in ("cli.py", "__main__.py"):
            assert "faces" not in path.read_text(), path.name
