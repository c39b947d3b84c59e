"""Basis files in the host's own input and output folders, and never outside them."""

import datetime
import itertools
import os
import re
from dataclasses import replace
from pathlib import Path

import folder_paths

from .images import image_to_thumbnail

ENDING = ".safetensors"
OUTPUT_MARK = " [output]"
PLAIN_NAME = "give a plain name like 'pullback/basis'"
DATE = re.compile(r"%date(?::([^%]*))?%")
DATE_FIELDS = re.compile("dd?|MM?|hh?|mm?|ss?|yyy?y?")


def safetensors_below(folder):
    """The paths of all safetensors in a folder and its subfolders, sorted."""
    return sorted(path for path in _files_below(folder) if path.endswith(ENDING))


def _files_below(folder):
    """The paths of all files in a folder and its subfolders. Links to folders are not followed.

    It does not recurse, because the folders may be thousands deep.
    """
    folders = [folder]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                entries = list(entries)
        except OSError:  # the folder was removed a moment ago, or may not be read
            continue
        folders += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        yield from (entry.path for entry in entries if not entry.is_dir())


def basis_path(name):
    """The path of a basis file. Raises ValueError where the input and output folders have no such file."""
    folder, plain = folder_paths.get_input_directory(), name
    if name.endswith(OUTPUT_MARK):
        folder, plain = folder_paths.get_output_directory(), name.removesuffix(OUTPUT_MARK)
    try:
        path = Path(os.path.realpath(os.path.join(folder, plain)))
    except ValueError:  # a name that no file can have
        path = None
    if path and path.is_relative_to(os.path.realpath(folder)) and os.path.isfile(path):
        return path
    raise ValueError(
        f"There is no basis file {name!r}; put it into ComfyUI's input folder, or save one first."
    )


def save_basis(basis, prefix):
    """Save a basis in the output folder, with a number as the host numbers pictures.

    No file is overwritten, however many saves run at once.

    Args:
        basis: A `PullbackBasis`.
        prefix: The name without number and ending. It may name subfolders and hold dates as in Save Image.

    Returns:
        The path of the new file.

    Raises:
        ValueError: The prefix leads out of the output folder, or no file can have this name.
        OSError: The system refuses.
    """
    if "\0" in prefix:
        raise ValueError(
            f"The prefix {prefix!r} contains the NUL character, which no file name can; {PLAIN_NAME}."
        )
    output = folder_paths.get_output_directory()
    name = os.path.normpath(_expand(prefix)).lstrip("/\\")
    folder = Path(os.path.realpath(os.path.join(output, os.path.dirname(name))))
    if not folder.is_relative_to(os.path.realpath(output)) or not os.path.basename(name).strip("."):
        raise ValueError(f"The prefix {prefix!r} leads out of the output folder; {PLAIN_NAME}.")
    return basis.save_as_first_free(_numbered_paths(folder, os.path.basename(name)))


def described_basis(basis, names="", notes="", thumbnail=None):
    """A basis with what people want to know of its file.

    Args:
        basis: A `PullbackBasis`.
        names: A name for each direction, one a line, from the first one on. Empty keeps those of the basis.
        notes: A text. Empty keeps that of the basis.
        thumbnail: IMAGE, of which the first picture counts; None keeps that of the basis.

    Raises:
        ValueError: There are more names than directions.
    """
    changes = {}
    if names.strip():
        lines = [line.strip() for line in names.rstrip().split("\n")]
        if len(lines) > basis.rank:
            raise ValueError(
                f"The basis has {basis.rank} directions and got {len(lines)} names; write one name a line."
            )
        changes["names"] = lines + [""] * (basis.rank - len(lines))
    if notes.strip():
        changes["notes"] = notes.strip()
    if thumbnail is not None:
        changes["thumbnail"] = image_to_thumbnail(thumbnail)
    return replace(basis, **changes)


def _numbered_paths(folder, name):
    """Paths with rising numbers, from the largest number in the folder on."""
    numbered = re.compile(re.escape(name) + "_([0-9]{5,9})" + re.escape(ENDING), re.IGNORECASE)
    try:
        taken = [int(found[1]) for found in map(numbered.fullmatch, os.listdir(folder)) if found]
    except OSError:  # the folder does not exist yet, or may not be read
        taken = []
    return (folder / f"{name}_{number:05}{ENDING}" for number in itertools.count(max(taken, default=0) + 1))


def _expand(prefix):
    """A prefix with %year%, %date:yyyy-MM-dd% and so on replaced, as Save Image does. %date% is the day.

    The page replaces dates, and values of other nodes, before it sends a workflow. A workflow that comes
    without a page still has its dates to be replaced.
    """
    now = datetime.datetime.now()
    prefix = DATE.sub(lambda found: _format_date(found[1] or "yyyy-MM-dd", now), prefix)
    host_expands = getattr(folder_paths, "get_save_image_path", None)
    if "%" not in prefix or host_expands is None:
        return prefix
    output = os.path.abspath(folder_paths.get_output_directory())
    # The host creates the folders of a prefix, so it gets one part at a time.
    parts = re.split(r"([/\\])", prefix)
    return "".join(host_expands(part, output)[-1] if "%" in part else part for part in parts)


def _format_date(pattern, now):
    """A date in one of the page's patterns, such as yyyy-MM-dd or hhmmss."""
    numbers = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}
    years = {"yy": f"{now.year % 100:02}", "yyyy": f"{now.year}"}

    def fill(found):
        field = found[0]
        return str(numbers[field[0]]).zfill(len(field)) if field[0] in numbers else years.get(field, field)

    return DATE_FIELDS.sub(fill, pattern)
