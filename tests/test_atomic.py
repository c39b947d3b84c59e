"""Files are written whole or not at all: when a save is killed, while other saves run, and for every name."""

import errno
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from pullback_core import atomic as files
from pullback_core.atomic import write_atomically, write_first_free

ROOT = Path(__file__).parent.parent
OLD, NEW = b"old" * 1000, b"new" * 100_000
posix = pytest.mark.skipif(os.name != "posix", reason="locks, kills and permissions of POSIX")


def partials(folder):
    return [name for name in os.listdir(folder) if name.endswith(".part")]


class Saving:
    """A process that saves NEW to `path` again and again. At `stage` it prints "ready" and waits."""

    # stage: statements that make the process call `pause` in the middle of a save
    STAGES = {
        "created": "new = files._create_partial; files._create_partial = lambda folder: pause(new(folder))",
        "half written": "files._sync = lambda handle: pause(os.ftruncate(handle, 100))",
        "synced": "sync = files._sync; files._sync = lambda handle: pause(sync(handle))",
        "renamed": "sync = files._sync_folder; files._sync_folder = lambda folder: pause(sync(folder))",
        "between saves": "",
    }

    def __init__(self, path, stage="between saves"):
        program = f"""
            import os, sys, types
            from pathlib import Path

            # A package without its __init__.py, which imports torch and takes seconds.
            package = types.ModuleType("pullback_core")
            package.__path__ = [{str(Path(files.__file__).parent)!r}]
            sys.modules["pullback_core"] = package
            from pullback_core import atomic as files

            def pause(result=None):
                print("ready", flush=True)
                sys.stdin.readline()
                return result

            {self.STAGES[stage]}
            while True:
                files.write_atomically(Path({str(path)!r}), b"new" * 100_000)
                print("ready", flush=True)
        """
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def wait(self):
        assert self.process.stdout.readline() == "ready\n"

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@posix
@pytest.mark.parametrize("stage", ["created", "half written", "synced", "renamed"])
def test_a_killed_save_leaves_nothing_half_written_and_the_next_save_clears_up(stage, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    for _ in range(5):
        with Saving(path, stage) as saving:
            saving.wait()
            saving.kill()
        assert path.read_bytes() == (NEW if stage == "renamed" else OLD)
        assert len(partials(tmp_path)) == (0 if stage == "renamed" else 1)  # that of the kill before is gone
    write_atomically(tmp_path / "another", OLD)
    assert sorted(os.listdir(tmp_path)) == ["another", "file"]


@posix
def test_kills_at_any_moment_leave_whole_files(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(OLD)
    for count in range(1, 21):
        with Saving(path) as saving:
            for _ in range(count % 4 + 1):
                saving.wait()
            saving.kill()  # somewhere in the next save
        assert path.read_bytes() == NEW
    write_atomically(path, OLD)
    assert os.listdir(tmp_path) == ["file"] and path.read_bytes() == OLD


@posix
@pytest.mark.parametrize("stage", ["created", "synced"])
def test_a_save_that_is_running_is_left_alone(stage, tmp_path):
    path = tmp_path / "file"
    with Saving(path, stage) as saving:
        saving.wait()
        write_atomically(tmp_path / "another", OLD)
        assert len(partials(tmp_path)) == 1
        saving.go_on()
        saving.wait()
        assert path.read_bytes() == NEW


def test_a_save_of_another_thread_is_left_alone_even_where_locks_do_not_help(tmp_path, monkeypatch):
    if files.fcntl:
        monkeypatch.setattr(
            files.fcntl, "flock", lambda *_: None
        )  # a process never sees its own locks on some network drives
    reached, go_on = threading.Event(), threading.Event()
    sync = files._sync

    def wait(handle):
        sync(handle)
        if threading.current_thread() is not threading.main_thread():
            reached.set()
            assert go_on.wait(300)

    monkeypatch.setattr(files, "_sync", wait)
    thread = threading.Thread(target=write_atomically, args=(tmp_path / "file", NEW))
    thread.start()
    assert reached.wait(300)
    write_atomically(tmp_path / "another", OLD)
    go_on.set()
    thread.join()
    assert (tmp_path / "file").read_bytes() == NEW and not partials(tmp_path)


def no_locks(*_):
    raise OSError(errno.ENOLCK, "no locks available")


@pytest.mark.parametrize("system", ["without locks", "Windows"])
def test_without_locks_only_old_leftovers_are_removed(system, tmp_path, monkeypatch):
    if system == "Windows":
        monkeypatch.setattr(files, "fcntl", None)
    elif files.fcntl:
        monkeypatch.setattr(files.fcntl, "flock", no_locks)
    fresh, old = tmp_path / f".pullback-{'0' * 16}.part", tmp_path / f".pullback-{'1' * 16}.part"
    for partial in (fresh, old):
        partial.write_bytes(OLD)
    os.utime(old, (time.time() - 2 * 24 * 3600,) * 2)
    write_atomically(tmp_path / "file", NEW)
    assert sorted(os.listdir(tmp_path)) == [fresh.name, "file"]


def test_files_of_others_are_not_taken_for_leftovers(tmp_path):
    others = [
        "a.part",
        ".pullback-x.part",
        f".pullback-{'0' * 16}.part.txt",
        f".pullback-{'0' * 15}.part",
        ".basis.safetensors.abcdefgh",
    ]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / f".pullback-{'2' * 16}.part").mkdir()
    write_atomically(tmp_path / "file", NEW)
    assert len(os.listdir(tmp_path)) == len(others) + 2


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    calls = []

    def recorded(name):
        original = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *arguments, **options: calls.append(name) or original(*arguments, **options)
        )

    recorded("fsync")
    recorded("replace")
    recorded("link")
    write_atomically(tmp_path / "file", NEW)
    assert calls[:2] == ["fsync", "replace"] and calls[2:] == (["fsync"] if os.name == "posix" else [])
    calls.clear()
    write_first_free([tmp_path / "file", tmp_path / "other"], NEW)
    assert calls[0] == "fsync" and calls.index("fsync") < calls.index("link")


@posix
def test_the_umask_is_obeyed_and_never_touched(tmp_path, monkeypatch):
    program = (
        "import os, sys; from pathlib import Path; from pullback_core import atomic; os.umask(0o027);"
        "folder = Path(sys.argv[1]); atomic.write_atomically(folder / 'a' / 'one', b'1');"
        "atomic.write_first_free([folder / 'two'], b'2')"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=True)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("a/one", "two", "a")]
    assert modes == [0o640, 0o640, 0o750]

    def touched(*_):
        raise AssertionError("the umask belongs to every thread of the process")

    monkeypatch.setattr(os, "umask", touched)
    monkeypatch.setattr(os, "chmod", touched)
    write_atomically(tmp_path / "file", NEW)
    write_first_free([tmp_path / "new"], NEW)


@pytest.mark.parametrize("links", [True, False])
def test_of_saves_at_the_same_moment_none_is_lost(links, tmp_path, monkeypatch):
    if not links:
        monkeypatch.setattr(os, "link", no_locks)
    count, threads = 25, 4
    together, saved, errors = threading.Barrier(threads, timeout=300), [], []

    def save(number):
        try:
            for turn in range(count):
                together.wait()
                paths = (tmp_path / f"file_{index}" for index in range(1000))
                content = f"{number} {turn}".encode()
                saved.append((write_first_free(paths, content), content))
        except BaseException as error:
            errors.append(error)
            together.abort()

    running = [threading.Thread(target=save, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert not errors and len({path for path, _ in saved}) == count * threads
    assert (
        all(path.read_bytes() == content for path, content in saved)
        and len(os.listdir(tmp_path)) == count * threads
    )


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "a").write_bytes(OLD)
    (tmp_path / "b").mkdir()
    (tmp_path / "c").symlink_to("nowhere")
    paths = [tmp_path / name for name in "abcd"]
    assert write_first_free(paths, NEW) == tmp_path / "d" and (tmp_path / "a").read_bytes() == OLD
    with pytest.raises(FileExistsError, match="every name is taken; choose another one"):
        write_first_free(paths, NEW)
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "name",
    ["n" * 246, "n" * 255, "\N{GREEK SMALL LETTER ALPHA}" * 127, "a.", "a ", "..a", "-", "a\nb", ".hidden"],
)
def test_legal_names_work(name, tmp_path):
    write_atomically(tmp_path / name, OLD)
    write_atomically(tmp_path / name, NEW)
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_bytes() == NEW


def test_a_thousand_folders_work(tmp_path):
    path = tmp_path / ("d/" * 1000) / "file"
    write_atomically(path, NEW)
    assert path.read_bytes() == NEW
    path.unlink()
    for folder in path.parents:  # pytest's own clearing fails at such a depth
        if folder == tmp_path:
            break
        folder.rmdir()


@pytest.mark.parametrize(
    "name, reason",
    [
        ("n" * 256, "the name is too long"),
        ("d/" * 2500 + "x", "the name is too long"),
        ("d/" + "n" * 300 + "/x", "the name is too long"),
        ("a\0b", "NUL character"),
        ("\ud800", "cannot write the file name"),
        ("file/x", "is not a folder"),
        ("file/a/b", "is not a folder"),
        ("folder", "that is a folder"),
        ("", "that is a folder"),
        ("pipe", "not an ordinary file"),
    ],
)
def test_other_names_are_refused_in_a_sentence(name, reason, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
    before = sorted(os.listdir(tmp_path))
    with pytest.raises((ValueError, OSError), match=reason) as caught:
        write_atomically(tmp_path / name, NEW)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and "Errno" not in sentence and len(sentence) < 300
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize(
    "code, reason",
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "error"),
    ],
)
@pytest.mark.parametrize("call", ["_sync", "_create_partial"])
def test_a_failing_disk_is_named_and_nothing_is_lost(call, code, reason, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(OLD)

    def fail(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(files, call, fail)
    for write in (
        lambda: write_atomically(tmp_path / "file", NEW),
        lambda: write_first_free([tmp_path / "new" / "file"], NEW),
    ):
        with pytest.raises(OSError, match=f"^Could not write .*file': .*{reason}") as caught:
            write()
        assert caught.value.errno == code
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == OLD


@posix
def test_a_disk_that_takes_only_half_keeps_the_old_file(tmp_path):
    (tmp_path / "file").write_bytes(OLD)
    program = (
        "import resource, sys; from pullback_core.atomic import write_atomically;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "write_atomically(sys.argv[1], b'new' * 1000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "file")], cwd=ROOT, capture_output=True, text=True
    )
    assert "the file is too large for this disk" in done.stderr
    assert os.listdir(tmp_path) == ["file"] and (tmp_path / "file").read_bytes() == OLD
