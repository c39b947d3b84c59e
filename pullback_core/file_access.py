"""Opening files, and error messages that say in one sentence what failed and what to do."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LONGEST_PATH = 200  # characters of a path that a message shows

ADVICE = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "your space on this disk is used up; free some space and try again",
    errno.EFBIG: "the file is too large for this disk; choose another disk",
    errno.EROFS: "the disk is read-only; choose a folder on another one",
    errno.EACCES: "permission was denied; choose a place that you have access to",
    errno.EPERM: "permission was denied; choose a place that you have access to",
    errno.ELOOP: "its links lead in a circle; choose another path",
}


def require_file(path: str | os.PathLike[str], kind: str) -> Path:
    """Check that a regular file exists at a path.

    Args:
        path: The path to check.
        kind: What the file should be, for the message. Example: "basis file".

    Returns:
        The path as a `Path`.

    Raises:
        FileNotFoundError: There is no regular file at the path.
        OSError: The system refuses to look.
    """
    path = Path(path)
    missing = f"There is no {kind} {shown_path(path)}"
    try:
        with explaining_errors("read", path):
            mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: the name contains NUL
        raise FileNotFoundError(f"{missing}.") from None
    if stat.S_ISDIR(mode):
        raise FileNotFoundError(f"{missing}; that is a folder.")
    if not stat.S_ISREG(mode):
        raise FileNotFoundError(f"{missing}; that is not an ordinary file.")
    return path


def open_file(path: str | os.PathLike[str], kind: str) -> BinaryIO:
    """Open a regular file for reading bytes.

    Args:
        path: The path of the file.
        kind: What the file should be, for the message.

    Returns:
        The open file.

    Raises:
        FileNotFoundError: There is no regular file at the path.
        OSError: The system refuses to open the file.
    """
    path = require_file(path, kind)
    with explaining_errors("read", path):
        return open(path, "rb")


def require_writable_name(path: str | os.PathLike[str], new: bool = False) -> Path:
    """Check that a file could be written at a path, as far as the path itself can tell.

    Args:
        path: The path to check.
        new: True if the file will never replace another one. Then what exists at the path is not checked.

    Returns:
        The path as a `Path`.

    Raises:
        ValueError: No file can have this name, or the path is a device or a pipe.
        IsADirectoryError: The path is a folder.
    """
    path = Path(path)
    if "\0" in str(path):
        raise ValueError(
            f"A file name cannot contain the NUL character, got {shown_path(path)}; choose another name."
        )
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(
            f"This system cannot write the file name {shown_path(path)}; choose another name."
        ) from None
    if new:
        return path
    if os.path.isdir(path):
        raise IsADirectoryError(f"Could not write {shown_path(path)}: that is a folder; add a file name.")
    if os.path.lexists(path) and not os.path.isfile(path) and not os.path.islink(path):
        raise ValueError(
            f"Could not write {shown_path(path)}: that is not an ordinary file; choose another name."
        )
    return path


@contextlib.contextmanager
def explaining_errors(action: str, path: Path) -> Iterator[None]:
    """Within the block, turn an OSError into one whose message is a sentence with a remedy.

    Args:
        action: What was tried, "read" or "write".
        path: The file that the action is about.

    Raises:
        OSError: The block raised one. The class and the error number are those of the original.
    """
    try:
        yield
    except OSError as error:
        explained = type(error)(f"Could not {action} {shown_path(path)}: {_reason(error, path)}.")
        explained.errno = error.errno
        raise explained from error


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path between quotes, for a message. The middle of a very long path is left out."""
    text = repr(str(path))
    return text if len(text) <= LONGEST_PATH else f"{text[:60]}...{text[-60:]}"


def _reason(error: OSError, path: Path) -> str:
    if error.errno == errno.ENAMETOOLONG:
        name, whole = len(os.fsencode(path.name)), len(os.fsencode(path))
        return f"the name is too long ({name} bytes in a path of {whole}); choose a shorter one"
    return ADVICE.get(error.errno or 0) or error.strerror or str(error)
