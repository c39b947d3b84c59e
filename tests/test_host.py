"""Runs `tests/host` under ComfyUI's own Python, where there is a ComfyUI. Skips where there is none.

COMFYUI_PATH says where ComfyUI is. Without it, two places are looked at: two folders above a pack that lies
in custom_nodes/, and ~/comfy/ComfyUI. COMFYUI_PYTHON is its interpreter. Without it, that is the one of a
.venv or venv in its folder.
"""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import pytest

sys.path.insert(0, os.path.dirname(__file__))  # for `hosts`
from hosts import find_host, find_python

PACK = Path(__file__).parents[1]
# What one process of ComfyUI runs: a file of tests, or a folder of them that share pictures and bases.
TESTS = PACK / "tests" / "host"
RUNS = [*sorted(TESTS.glob("test_*.py")), *sorted({path.parent for path in TESTS.glob("*/test_*.py")})]
LONGEST = 3600  # seconds for one process; far more than a busy machine needs


@lru_cache
def lacks_pytest(python):
    """Why tests cannot run under an interpreter, or None."""
    try:
        found = subprocess.run(
            [python, "-c", "import pytest"], capture_output=True, text=True, timeout=LONGEST
        )
    except OSError as error:
        return f"ComfyUI's Python {python} does not start: {error.strerror}"
    return f"{python} has no pytest; install it there to test the nodes" if found.returncode else None


@lru_cache
def started_runs(host, python):
    """{file or folder: the `Future` of its run}: a few at a time, on one processor each."""
    pool = ThreadPoolExecutor(min(4, os.cpu_count() or 1))  # each takes two GiB
    return {path: pool.submit(run_tests, path, host, python) for path in sorted(RUNS, key=is_short)}


def is_short(path):
    """False for what takes longest, which therefore starts first."""
    return path.stem not in ("test_support", "nodes")


def run_tests(path, host, python):
    """Run one file or folder of tests under ComfyUI. Returns (command, exit code, output)."""
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--show-capture=no",
        "-c",
        str(PACK / "pyproject.toml"),
        str(path),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        cwd=host,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=LONGEST,
    )
    return command, done.returncode, done.stdout


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.stem)
def test_under_comfyui(path):
    host = find_host()
    python = find_python(host)
    reason = lacks_pytest(python)
    if reason:
        pytest.skip(reason)
    command, code, output = started_runs(host, python)[path].result()
    if code:
        tail = "\n".join(output.splitlines()[-60:])
        pytest.fail(f"{' '.join(command)}\nin {host} ended with {code}:\n{tail}", pytrace=False)
