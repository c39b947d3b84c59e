"""The notebooks run, and make what they promise."""

import runpy
from pathlib import Path

import numpy as np
from PIL import Image

from pullback_core import figures

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def test_the_notebook_makes_the_pictures_of_the_default_command(tmp_path, monkeypatch, default_run):
    monkeypatch.chdir(tmp_path)
    made = runpy.run_path(str(NOTEBOOKS / "edit_a_face.py"))
    assert Image.open("output/example/contact_sheet.png").width > 600
    for row, number in enumerate(range(1, 9)):
        for column, strength in ((0, "-1"), (4, "+1")):
            picture = np.asarray(figures.to_pil(made["pictures"][5 * row + column]), dtype=float)
            command = np.asarray(
                Image.open(default_run / f"direction_{number}_strength_{strength}.png"), dtype=float
            )
            assert np.abs(picture - command).max() <= 1
