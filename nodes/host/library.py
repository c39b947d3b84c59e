"""The basis files that a user can choose from: what is known of each without loading it."""

import io
import os
from typing import NamedTuple

import folder_paths
from PIL import Image

from ...pullback_core.basis_description import Description, read_description, read_thumbnail
from .basis_files import OUTPUT_MARK, basis_path, safetensors_below

MOST = 1000  # files of a list, the newest first; a page cannot show more in a useful way
LONGEST_NOTE = 400  # characters of the notes in a list


class Known(NamedTuple):
    """One basis file.

    Attributes:
        changed: When the file was written last, in nanoseconds.
        size: Its size in bytes.
        description: What its header says; None if it is not a basis.
    """

    changed: int
    size: int
    description: Description | None


_known = {}  # path -> Known; a file is read again only if it changed


def basis_files():
    """The names of all basis files, as `basis_path` takes them.

    A file in the output folder has the mark " [output]" behind its name. Other safetensors are left out, by
    their headers.
    """
    return [name for name, _ in _named_files()]


def library_entries():
    """What is known of each basis file, the newest first.

    Returns:
        A list with a dictionary for each file: its name for `basis_path`, a name for people, the names of
        its directions, their kind and number, notes, whether it has a thumbnail, and when it was written, in
        nanoseconds.
    """
    found = sorted(_named_files(), key=_newest_first)[:MOST]
    return [_entry(name, known) for name, known in found]


def library_thumbnail(name):
    """The thumbnail of a basis file as the bytes of a PNG; None if it has none.

    Raises ValueError where there is no such file, or it is not a basis.
    """
    picture = read_thumbnail(basis_path(name))
    if picture is None:
        return None
    stored = io.BytesIO()
    Image.fromarray(picture.numpy()).save(stored, "PNG")
    return stored.getvalue()


def _named_files():
    """(name, Known) of each basis file, those of the input folder first, sorted by name."""
    global _known
    known, found = {}, []
    folders = [(folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), OUTPUT_MARK)]
    for folder, mark in folders:
        for path in safetensors_below(folder):
            one = _look_at(path)
            if one is None:
                continue
            known[path] = one
            if one.description is not None:
                found.append((os.path.relpath(path, folder).replace(os.sep, "/") + mark, one))
    _known = known
    return found


def _look_at(path):
    """What is known of a file; None if it cannot be read now."""
    try:
        status = os.stat(path)
        before = _known.get(path)
        if before and (before.changed, before.size) == (status.st_mtime_ns, status.st_size):
            return before
        description = _description(path)
    except OSError:  # it was removed a moment ago, or may not be read
        return None
    return Known(status.st_mtime_ns, status.st_size, description)


def _description(path):
    """What the header of a file says; None for a file of something else, and for a broken one."""
    try:
        return read_description(path)
    except ValueError:
        return None


def _newest_first(found):
    name, known = found
    return -known.changed, name


def _entry(file, known):
    """One file as the page gets it."""
    kind, names, notes, rank, has_thumbnail = known.description
    stem = file.removesuffix(OUTPUT_MARK).rpartition("/")[2].rpartition(".")[0]
    return {
        "file": file,
        "name": names[0] if rank == 1 and names and names[0] else stem,
        "names": names,
        "kind": kind,
        "notes": notes[:LONGEST_NOTE],
        "rank": rank,
        "thumbnail": has_thumbnail,
        "changed": str(known.changed),  # a text: numbers of the page have fewer digits
    }
