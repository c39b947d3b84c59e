"""Basis files in the host's own input and output folders, and never outside them."""

import os
from pathlib import Path

import folder_paths

ENDING = ".safetensors"


def basis_files():
    """Names of all basis files, as `basis_path` takes them: plain in the input folder, "name [output]" in the other."""
    names = []
    for folder, mark in ((folder_paths.get_input_directory(), ""), (folder_paths.get_output_directory(), " [output]")):
        found = (path.relative_to(folder).as_posix() for path in Path(folder).rglob(f"*{ENDING}"))
        names += sorted(name + mark for name in found)
    return names


def basis_path(name):
    """The file of a name. Raises ValueError for one that is not there, or leads out of the folders."""
    folder = folder_paths.get_input_directory()
    if name.endswith(" [output]"):
        name, folder = name.removesuffix(" [output]"), folder_paths.get_output_directory()
    path = Path(os.path.realpath(os.path.join(folder, name)))
    if not path.is_relative_to(os.path.realpath(folder)) or not path.is_file():
        raise ValueError(f"There is no basis file {name!r}; put it into ComfyUI's input folder, or save one first.")
    return path


def next_basis_path(prefix):
    """A path in the output folder that is free yet, numbered as the host numbers pictures.

    Raises ValueError for a prefix that leads out of the folder.
    """
    output = folder_paths.get_output_directory()
    name = os.path.normpath(prefix).lstrip("/\\")
    folder = os.path.realpath(os.path.join(output, os.path.dirname(name)))
    if not Path(folder).is_relative_to(os.path.realpath(output)) or not os.path.basename(name).strip("."):
        raise ValueError(f"The prefix {prefix!r} leads out of the output folder; give a plain name like 'pullback/basis'.")
    os.makedirs(folder, exist_ok=True)
    number = 1
    while (path := Path(folder) / f"{os.path.basename(name)}_{number:05}{ENDING}").exists():
        number += 1
    return path
