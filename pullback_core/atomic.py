"""Files on disk: written whole or not at all, and one clear sentence when that fails."""

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no such module
    fcntl = None

PARTIAL_NAME = re.compile(r"\.pullback-[0-9a-f]{16}\.part")
ABANDONED_AFTER = 24 * 3600  # seconds; used only where files cannot be locked
NOT_SUPPORTED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}

# Partial files that this process is writing. On some network drives a process never sees its own locks.
_being_written = set()


def write_atomically(path, data):
    """Write bytes to a file that either appears complete or stays as it was.

    Missing folders are made. Leftovers of killed saves in the same folder are removed.
    Raises ValueError for a path that no file can have, and OSError when the system refuses; each says why.
    """
    path = _require_writable_name(path)
    with _explaining("write", path), _complete_file(path.parent, data) as partial:
        os.replace(partial, path)
        _sync_folder(path.parent)


def write_first_free(paths, data):
    """Write bytes to the first path that does not exist yet, and return that path. Nothing is ever overwritten.

    paths: an iterable of paths in one folder. Other threads and processes may save to the same paths at the same time.
    Raises as `write_atomically` does, and FileExistsError when every path exists.
    """
    paths = (Path(path) for path in paths)
    path = _require_writable_name(next(paths), new=True)
    with _explaining("write", path), _complete_file(path.parent, data) as partial:
        while not _publish_new(partial, path):
            path = next(paths, None)
            if path is None:
                raise FileExistsError("every name is taken; choose another one")
        _sync_folder(path.parent)
    return path


def require_file(path, kind):
    """Return `path` as a Path if a regular file is there.

    kind: what the file should be, for the message, such as "basis file".
    Raises FileNotFoundError when no regular file is there, and OSError when the system refuses to look.
    """
    path = Path(path)
    missing = f"There is no {kind} {_shown(path)}"
    try:
        with _explaining("read", path):
            mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: the name contains NUL
        raise FileNotFoundError(f"{missing}.") from None
    if stat.S_ISDIR(mode):
        raise FileNotFoundError(f"{missing}; that is a folder.")
    if not stat.S_ISREG(mode):
        raise FileNotFoundError(f"{missing}; that is not an ordinary file.")
    return path


def open_file(path, kind):
    """Open a regular file for reading bytes. Raises as `require_file` does."""
    path = require_file(path, kind)
    with _explaining("read", path):
        return open(path, "rb")


@contextlib.contextmanager
def _complete_file(folder, data):
    """A file under a temporary name in `folder` that holds `data` and is on the disk. It is removed on exit."""
    with _folder(folder):
        _remove_leftovers(folder)
        handle, partial = _create_partial(folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                _sync(file.fileno())
                if fcntl is None:
                    file.close()  # Windows renames no open file. Elsewhere the open file holds the lock.
                yield partial
        finally:
            with contextlib.suppress(OSError):  # it has its final name already, or the next save removes it
                os.unlink(partial)
            _being_written.discard(partial.name)


@contextlib.contextmanager
def _folder(folder):
    """Make a folder and those above it. If the work inside fails, remove the new ones again."""
    folder = os.fspath(folder)  # text: Path takes seconds to list a thousand parents
    missing, made = [], []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.stat(folder)  # a path that is too long for the system is refused here, before a part of it is made
    while folder and not os.path.isdir(folder) and folder != os.path.dirname(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    try:
        for folder in reversed(
            missing
        ):  # one at a time: Path.mkdir(parents=True) recurses, and fails at 1,000 levels
            if _make_folder(folder):
                made.append(folder)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # another save uses it by now
            for folder in reversed(made):
                os.rmdir(folder)
        raise


def _make_folder(folder):
    """Make one folder. Returns False if it is there, made by another save at the same moment."""
    try:
        os.mkdir(folder)
    except FileExistsError:
        if os.path.isdir(folder):
            return False
        raise NotADirectoryError(errno.ENOTDIR, f"{_shown(folder)} is not a folder") from None
    return True


def _create_partial(folder):
    """Create an empty file of a name that only `_remove_leftovers` knows. Returns its handle, locked, and its path."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        partial = folder / f".pullback-{secrets.token_hex(8)}.part"
        _being_written.add(partial.name)
        try:
            handle = os.open(
                partial, flags, 0o666
            )  # the system applies the umask, which belongs to all threads
        except BaseException:
            _being_written.discard(partial.name)
            raise
        # Another save can take the new file for a leftover before it is locked. Then make another one.
        if _lock(handle) is not False and (fcntl is None or os.fstat(handle).st_nlink):
            return handle, partial
        os.close(handle)
        _being_written.discard(partial.name)


def _lock(handle):
    """Lock an open file. The lock ends with the process. Returns None where files cannot be locked."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network drives
        return None
    return True


def _remove_leftovers(folder):
    """Remove partial files whose save was killed."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if PARTIAL_NAME.fullmatch(entry.name)]
    except OSError:  # a folder that may be written to and not listed
        return
    for name in names:
        if name not in _being_written:
            with contextlib.suppress(OSError):  # its save has just ended, or it belongs to another user
                _remove_if_abandoned(folder / name)


def _remove_if_abandoned(partial):
    if fcntl is None:
        if _is_old(os.lstat(partial)):
            os.unlink(partial)
        return
    handle = os.open(partial, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        status = os.fstat(handle)
        locked = _lock(handle)
        if stat.S_ISREG(status.st_mode) and (locked or (locked is None and _is_old(status))):
            os.unlink(partial)  # before the lock is released, so that a save that starts now notices
    finally:
        os.close(handle)


def _is_old(status):
    return time.time() - status.st_mtime > ABANDONED_AFTER


def _publish_new(partial, path):
    """Give a complete file its name, unless the name is taken. Returns whether it got it."""
    try:
        os.link(partial, path)
        return True
    except FileExistsError:
        return False
    except OSError:
        pass  # FAT and some network drives have no links; any other problem shows again below
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


def _sync(handle):
    """Wait until an open file is on the disk, so that a power cut cannot leave an empty one."""
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NOT_SUPPORTED:
            raise


def _sync_folder(folder):
    """Wait until the names in a folder are on the disk, where the system can do that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders, and a folder may be writable and not readable
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network drives sync no folders; the file itself is complete and synced
    finally:
        os.close(handle)


def _require_writable_name(path, new=False):
    """`path` as a Path. Raises ValueError or OSError if no file can be written there, whatever the folder.

    new: the file is not to replace anything, so that what is there is no matter.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ValueError(
            f"A file name cannot contain the NUL character, got {_shown(path)}; choose another name."
        )
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(
            f"This system cannot write the file name {_shown(path)}; choose another name."
        ) from None
    if new:
        return path
    if os.path.isdir(path):
        raise IsADirectoryError(f"Could not write {_shown(path)}: that is a folder; add a file name.")
    if os.path.lexists(path) and not os.path.isfile(path) and not os.path.islink(path):
        raise ValueError(
            f"Could not write {_shown(path)}: that is not an ordinary file; choose another name."
        )
    return path


@contextlib.contextmanager
def _explaining(action, path):
    """Turn an OSError into one of the same class that says in a sentence what failed and what to do."""
    try:
        yield
    except OSError as error:
        explained = type(error)(f"Could not {action} {_shown(path)}: {_reason(error, path)}.")
        explained.errno = error.errno
        raise explained from error


def _reason(error, path):
    reasons = {
        errno.ENOSPC: "the disk is full; free some space and try again",
        errno.EDQUOT: "your space on this disk is used up; free some space and try again",
        errno.EFBIG: "the file is too large for this disk; choose another disk",
        errno.EROFS: "the disk is read-only; choose a folder on another one",
        errno.EACCES: "permission was denied; choose a place that you have access to",
        errno.EPERM: "permission was denied; choose a place that you have access to",
        errno.ENAMETOOLONG: f"the name is too long ({len(os.fsencode(path.name))} bytes in a path of "
        f"{len(os.fsencode(path))}); choose a shorter one",
        errno.ELOOP: "its links lead in a circle; choose another path",
    }
    return reasons.get(error.errno) or error.strerror or str(error)


def _shown(path):
    """A path for a message, with the middle of a very long one left out."""
    text = repr(str(path))
    return text if len(text) <= 200 else f"{text[:60]}...{text[-60:]}"
