"""Write files atomically: a file appears complete, or the old one stays.

The bytes first go to a partial file with a temporary name in the same folder. The partial file gets its
final name when it is complete and on the disk. A save that is killed leaves its partial file behind. The
next save in that folder removes it. A lock on the partial file shows that its save is still running.
"""

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from .file_access import explaining_errors, require_writable_name, shown_path

try:
    import fcntl
except ImportError:  # Windows has no such module
    fcntl = None

Bytes = bytes | bytearray | memoryview

PARTIAL_NAME = re.compile(r"\.pullback-[0-9a-f]{16}\.part")
ABANDONED_AFTER = 24 * 3600  # seconds; used only where files cannot be locked
NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

# Names of the partial files that this process is writing. Needed because on some network drives a process
# never sees its own locks.
_being_written: set[str] = set()


def write_atomically(path: str | os.PathLike[str], data: Bytes) -> None:
    """Write a file that either appears complete or stays as it was.

    Missing folders are created. Partial files of killed saves in the same folder are removed.

    Args:
        path: The file to write. An existing file is replaced.
        data: The bytes of the file.

    Raises:
        ValueError: No file can have this path.
        OSError: The system refuses. The message says why.
    """
    path = require_writable_name(path)
    with explaining_errors("write", path), _complete_partial(path.parent, data) as partial:
        os.replace(partial, path)
        _sync_folder(path.parent)


def write_first_free(paths: Iterable[str | os.PathLike[str]], data: Bytes) -> Path:
    """Write a file to the first path that does not exist yet. Nothing is ever overwritten.

    Other threads and processes may save to the same paths at the same time.

    Args:
        paths: The paths to try in turn, all in one folder.
        data: The bytes of the file.

    Returns:
        The path of the new file.

    Raises:
        ValueError: No file can have the first path.
        FileExistsError: Every path exists.
        OSError: The system refuses. The message says why.
    """
    candidates = (Path(path) for path in paths)
    path = require_writable_name(next(candidates), new=True)
    with explaining_errors("write", path), _complete_partial(path.parent, data) as partial:
        while not _publish_new(partial, path):
            following = next(candidates, None)
            if following is None:
                raise FileExistsError("every name is taken; choose another one")
            path = following
        _sync_folder(path.parent)
    return path


@contextlib.contextmanager
def _complete_partial(folder: Path, data: Bytes) -> Iterator[Path]:
    """Write `data` to a partial file in `folder` and wait until it is on the disk. On exit, remove it."""
    with _existing_folder(folder):
        _remove_abandoned_partials(folder)
        handle, partial = _create_partial(folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
                if fcntl is None:
                    file.close()  # Windows cannot rename an open file; elsewhere the open file holds the lock
                yield partial
        finally:
            with contextlib.suppress(OSError):  # it already has its final name, or the next save removes it
                os.unlink(partial)
            _being_written.discard(partial.name)


@contextlib.contextmanager
def _existing_folder(folder: Path) -> Iterator[None]:
    """Create a folder and its parents. If the block fails, remove the folders that were created."""
    made: list[str] = []
    try:
        for missing in _missing_folders(folder):
            if _make_folder(missing):
                made.append(missing)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # another save uses the folder by now
            for new in reversed(made):
                os.rmdir(new)
        raise


def _missing_folders(folder: Path) -> list[str]:
    """The folders that have to be created, the outermost first.

    Paths are text here, because `Path` takes seconds to list a thousand parents. The caller creates one
    folder at a time, because `Path.mkdir(parents=True)` recurses and fails at 1,000 levels.
    """
    place = os.fspath(folder)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.stat(place)  # refuses a path that is too long for the system, before a part of it is created
    missing = []
    while place and not os.path.isdir(place) and place != os.path.dirname(place):
        missing.append(place)
        place = os.path.dirname(place)
    return missing[::-1]


def _make_folder(folder: str) -> bool:
    """Create one folder. Returns False if another save created it at the same moment."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        if os.path.isdir(folder):
            return False
        raise NotADirectoryError(errno.ENOTDIR, f"{shown_path(folder)} is not a folder") from None
    return True


def _create_partial(folder: Path) -> tuple[int, Path]:
    """Create an empty partial file and lock it. Returns its handle and its path."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        partial = folder / f".pullback-{secrets.token_hex(8)}.part"
        _being_written.add(partial.name)
        try:
            # The system applies the umask. Setting the umask here would affect all threads.
            handle = os.open(partial, flags, 0o666)
        except BaseException:
            _being_written.discard(partial.name)
            raise
        # Before the new file is locked, another save can take it for an abandoned one and remove it. Then
        # retry.
        if _lock(handle) is not False and (fcntl is None or os.fstat(handle).st_nlink):
            return handle, partial
        os.close(handle)
        _being_written.discard(partial.name)


def _lock(handle: int) -> bool | None:
    """Lock an open file. Returns False if another process holds the lock, None where locks do not work."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network drives
        return None
    return True


def _remove_abandoned_partials(folder: Path) -> None:
    """Remove the partial files of saves that were killed."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if PARTIAL_NAME.fullmatch(entry.name)]
    except OSError:  # the folder may be written to and not listed
        return
    for name in names:
        if name not in _being_written:
            with contextlib.suppress(OSError):  # its save has just ended, or it belongs to another user
                _remove_if_abandoned(folder / name)


def _remove_if_abandoned(partial: Path) -> None:
    if fcntl is None:
        if _is_old(os.lstat(partial)):
            os.unlink(partial)
        return
    handle = os.open(partial, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        status = os.fstat(handle)
        locked = _lock(handle)
        if stat.S_ISREG(status.st_mode) and (locked or (locked is None and _is_old(status))):
            os.unlink(partial)  # while it is locked, so that a save that creates this file notices
    finally:
        os.close(handle)


def _is_old(status: os.stat_result) -> bool:
    return time.time() - status.st_mtime > ABANDONED_AFTER


def _publish_new(partial: Path, path: Path) -> bool:
    """Give a complete file its name. Returns False if the name is taken."""
    try:
        os.link(partial, path)
        return True
    except FileExistsError:
        return False
    except OSError:
        pass  # FAT and some network drives have no links; every other problem shows again below
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))  # reserve the name
    except FileExistsError:
        return False
    try:
        os.replace(partial, path)
    except BaseException:
        os.unlink(path)
        raise
    return True


def _sync(handle: int) -> None:
    """Wait until an open file is on the disk. Without this a power cut can leave an empty file."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def _sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk, where the system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows cannot open folders, and a folder may be writable and not readable
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network drives cannot sync folders; the file itself is complete and on the disk
    finally:
        os.close(handle)
