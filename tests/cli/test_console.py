"""The console and interrupts, mostly in a process of its own."""

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import FEATURES, pixels

from pullback_core.cli.console import SafeStream
from pullback_core.cli.main import main

ROOT = Path(__file__).parents[2]
LIMIT = 600  # seconds; far more than a busy machine needs


def child_environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def hear_interrupts():
    """In a child: hear interrupts, also where these tests run as a background job that ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_child(arguments, **options):
    command = [sys.executable, "-m", "pullback_core", *map(str, arguments)]
    return subprocess.Popen(
        command,
        text=True,
        errors="replace",
        preexec_fn=hear_interrupts,
        **{"env": child_environment(), "stderr": subprocess.PIPE, **options},
    )


posix = pytest.mark.skipif(os.name == "nt", reason="signals and descriptors are others on Windows")


@posix
def test_an_interrupt_leaves_nothing_half_written(tmp_path):
    process = start_child(["edit", "--steps", 10_000, "--out", tmp_path / "out"])
    while "DDIM inversion" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert not list(tmp_path.rglob("*"))


SLOW_TORCH = """
print("importing", flush=True)
import time
while True:
    try:
        time.sleep(0.1)
    except BaseException:
        pass  # as importing in the middle of other code may
"""


@posix
def test_an_interrupt_while_importing_ends_with_one_line(tmp_path):
    (tmp_path / "torch.py").write_text(SLOW_TORCH)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    process = start_child([], stdout=subprocess.PIPE, cwd=tmp_path, env=child_environment(PYTHONPATH=path))
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and errors == "pullback_core: interrupted; nothing was half written.\n"


@posix
def test_an_interrupt_of_training_ends_with_one_line(tmp_path):
    files = ["--checkpoint", tmp_path / "state.pt", "--out", tmp_path / "model.safetensors"]
    process = start_child(["train", "--batch", 8, "--workers", 2, *files], start_new_session=True)
    errors = ""
    while "0%" not in errors:  # the workers' progress bar
        errors = process.stderr.readline()
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130 and "interrupted" in errors and "Traceback" not in errors
    assert not list(tmp_path.iterdir())


@posix
@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_closed_streams_cost_no_result(closed, tmp_path):
    def close():
        hear_interrupts()
        for descriptor in closed:
            os.close(descriptor)

    command = [sys.executable, "-m", "pullback_core", *FEATURES, "--out", str(tmp_path)]
    assert subprocess.run(command, env=child_environment(), preexec_fn=close, timeout=LIMIT).returncode == 0
    assert json.loads((tmp_path / "report.json").read_text())["features"]
    assert pixels(tmp_path / "decay.png").std() > 5


@posix
def test_a_pipe_without_a_reader_costs_no_result(tmp_path):
    for name in ("stdout", "stderr"):
        reader, writer = os.pipe()
        os.close(reader)
        with os.fdopen(writer, "w") as broken:
            process = start_child(
                [*FEATURES, "--out", tmp_path / name], **{"stderr": subprocess.DEVNULL, name: broken}
            )
            process.communicate(timeout=LIMIT)
        assert process.returncode == 0
        assert json.loads((tmp_path / name / "report.json").read_text())["features"]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_characters_costs_no_result(encoding, tmp_path, monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding, errors="strict"))
    assert main([*FEATURES, "--out", str(tmp_path / "\u65e5\u672c\u0101")]) == 0
    sys.stdout.flush()
    assert b"\\u65e5" in buffer.getvalue()
    assert (tmp_path / "\u65e5\u672c\u0101" / "report.json").is_file()


def test_a_stream_that_fails_takes_nothing_more_and_never_raises():
    broken = io.StringIO()
    stream = SafeStream(broken)
    assert stream.write("text") == 4 and broken.getvalue() == "text" and not stream.isatty()
    broken.close()
    assert stream.write("more") == 4
    stream.flush()
    for closed in (stream, SafeStream(None)):
        assert closed.write("x") == 1 and closed.writable() and not closed.isatty()
        with pytest.raises(OSError, match="closed"):
            closed.fileno()
