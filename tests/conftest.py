"""`tests/host` runs under ComfyUI's Python, where `test_host.py` starts it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Set before torch is imported, and inherited by processes that tests start. On a busy machine, tiny networks
# take up to a hundred times as long in several threads; see `pullback_core/threads.py`.
os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["host"]


@pytest.fixture(scope="session")
def default_run(tmp_path_factory):
    """The folder of results of `python -m pullback_core`, which runs once for all tests."""
    folder = tmp_path_factory.mktemp("default")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-m", "pullback_core"], cwd=folder, check=True, env=environment)
    return folder / "output" / "edit"


@pytest.fixture(scope="session")
def readme_blocks():
    """The Python blocks of the README, in order: for the faces model, and for diffusers."""
    readme = Path(__file__).parents[1] / "README.md"
    return re.findall(r"^```python\n(.*?)^```", readme.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
