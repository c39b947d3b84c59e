"""What the options of a command may be. Every check is made before any work, and refuses in one sentence."""

import argparse
import contextlib
import math
import os
import tempfile
from pathlib import Path

LONGEST = 60  # characters of a wrong text that a sentence repeats
RESULT_ENDINGS = (".png", ".json", ".csv", ".md", ".safetensors")


def shorten(text):
    """A text between quotes, cut where it is too long for a sentence."""
    text = str(text)
    return repr(text if len(text) <= LONGEST else text[:LONGEST] + "...")


def whole(low, high=None):
    """The type of an option that is a whole number from `low` to `high`, both included; without `high`, of any size."""
    limits = f"of at least {low}" + ("" if high is None else f" and at most {high}")

    def parse(text):
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not (low <= number and (high is None or number <= high)):
            raise argparse.ArgumentTypeError(f"must be a whole number {limits}, got {shorten(text)}")
        return number

    return parse


def real(meaning, allowed):
    """The type of an option that is a number. meaning: what it must be, in words; allowed: the test of it, false for NaN."""

    def parse(text):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not allowed(value):
            raise argparse.ArgumentTypeError(f"must be {meaning}, got {shorten(text)}")
        return value

    return parse


def path(text):
    """The type of an option that names a file or a folder."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError(f"must be the name of a file or a folder, got {shorten(text)}")
    return Path(text)


def require_writable_folder(folder, option):
    """Raise ValueError, naming the option, unless result files can be written into a folder, which need not exist yet.

    Tries it out and leaves nothing behind, since permissions do not tell the whole: a disk may be mounted for reading only.
    """
    with _refusing(folder, option), _made(folder):
        if not folder.is_dir():
            raise NotADirectoryError(0, "it is a file")
        _write_a_file_in(folder)
        blocked = [
            entry.name for entry in folder.iterdir() if entry.suffix in RESULT_ENDINGS and entry.is_dir()
        ]
    if blocked:
        raise ValueError(
            f"{option}: {shorten(folder)} holds a folder {shorten(blocked[0])}, where a result belongs; choose another one."
        )


def require_writable_file(file, option):
    """Raise ValueError, naming the option, unless a file can be written, which need not exist yet. Leaves nothing behind."""
    with _refusing(file, option), _made(file.parent):
        if file.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        _write_a_file_in(file.parent)
        if not file.exists():
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            file.unlink()


@contextlib.contextmanager
def _refusing(place, option):
    """Turn what the system refuses into a sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"{option}: {shorten(place)} cannot be written to ({reason}); choose another place."
        ) from error


@contextlib.contextmanager
def _made(folder):
    """A folder and those above it exist within the block; what was missing is removed again."""
    missing = []
    for place in (folder, *folder.parents):
        if os.path.lexists(place):
            break
        missing.append(place)
    made = []
    try:
        for place in reversed(missing):
            place.mkdir()
            made.append(place)
        yield
    finally:
        for place in reversed(made):
            with contextlib.suppress(OSError):  # another process has put something there in the meantime
                place.rmdir()


def _write_a_file_in(folder):
    handle, name = tempfile.mkstemp(dir=folder, prefix=".writable-")
    os.close(handle)
    os.unlink(name)
