"""Check before any work that results can be written. The checks leave nothing behind."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .options import shorten

RESULT_ENDINGS = (".png", ".json", ".csv", ".md", ".safetensors")


def require_writable_folder(folder: Path, option: str) -> None:
    """Check that result files can be written into a folder. The folder need not exist yet.

    A file is written to find out, because permissions do not tell everything: a disk may be read-only.

    Args:
        folder: The folder.
        option: The option that named it, for the message.

    Raises:
        ValueError: The folder cannot be written to, or a folder is in the place of a result file.
    """
    with _explaining_refusal(folder, option), _existing_folder(folder):
        if not folder.is_dir():
            raise NotADirectoryError(0, "it is a file")
        _write_a_file_in(folder)
        blocked = [
            entry.name for entry in folder.iterdir() if entry.suffix in RESULT_ENDINGS and entry.is_dir()
        ]
    if blocked:
        raise ValueError(
            f"{option}: {shorten(folder)} holds a folder {shorten(blocked[0])}, where a result belongs; "
            "choose another one."
        )


def require_writable_file(file: Path, option: str) -> None:
    """Check that a file can be written. The file need not exist yet.

    Args:
        file: The file.
        option: The option that named it, for the message.

    Raises:
        ValueError: The file cannot be written.
    """
    with _explaining_refusal(file, option), _existing_folder(file.parent):
        if file.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        _write_a_file_in(file.parent)
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            file.unlink()


@contextlib.contextmanager
def _explaining_refusal(place: Path, option: str) -> Iterator[None]:
    """Within the block, turn an OSError into a ValueError of one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"{option}: {shorten(place)} cannot be written to ({reason}); choose another place."
        ) from error


@contextlib.contextmanager
def _existing_folder(folder: Path) -> Iterator[None]:
    """Within the block, a folder and its parents exist. On exit, the ones that were created are removed."""
    missing = []
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            break
        missing.append(place)
    made: list[Path] = []
    try:
        for place in reversed(missing):
            place.mkdir()
            made.append(place)
        yield
    finally:
        for place in reversed(made):
            with contextlib.suppress(OSError):  # another process has put something there in the meantime
                place.rmdir()


def _write_a_file_in(folder: Path) -> None:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".writable-")
    os.close(handle)
    os.unlink(name)
