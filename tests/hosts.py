"""Where ComfyUI is on this machine, for the tests that need one."""

import os
from pathlib import Path

import pytest

PACK = Path(__file__).parents[1]


def find_host():
    """ComfyUI's folder, or a reason to skip."""
    given = os.environ.get("COMFYUI_PATH")
    if given:
        places = [Path(given).expanduser()]
    else:
        places = [PACK.parents[1]] if PACK.parent.name == "custom_nodes" else []
        places.append(Path.home() / "comfy" / "ComfyUI")
    for place in places:
        if (place / "comfy" / "samplers.py").is_file():
            return place.resolve()
    pytest.skip(
        f"no ComfyUI in {' or '.join(str(place) for place in places)}; set COMFYUI_PATH to test the nodes"
    )


def find_python(host):
    """ComfyUI's interpreter, or a reason to skip."""
    given = os.environ.get("COMFYUI_PYTHON")
    if given:
        return given
    for place in (
        host / folder / python
        for folder in (".venv", "venv")
        for python in ("bin/python", "Scripts/python.exe")
    ):
        if place.is_file():
            return str(place)
    pytest.skip(f"no .venv or venv in {host}; set COMFYUI_PYTHON to its interpreter to test the nodes")
