"""Reports are strict JSON, and a missing plot costs no other result."""

import math
import sys

import pytest
import torch
from command_line import FEATURES, SHORT, strict_json

from pullback_core.cli import results, session
from pullback_core.cli.main import main


def test_a_report_is_strict_json_where_a_number_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "psnr", lambda image, reference: math.inf)
    assert main(["invert", "--steps", "2", "--refine", "0", "--out", str(tmp_path)]) == 0
    assert strict_json(tmp_path / "report.json")["psnr_db"] == {"plain": None, "refined": None}


@pytest.mark.parametrize(
    "command, plot",
    [
        (["edit", *SHORT], "singular_values.png"),
        (["over-time", *SHORT, "--timesteps", "0.5"], "distances.png"),
        (FEATURES, "decay.png"),
    ],
)
def test_without_matplotlib_there_is_every_result_but_the_plot(command, plot, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "pip install matplotlib" in capsys.readouterr().out
    names = {path.name for path in tmp_path.iterdir()}
    assert (
        "report.json" in names and plot not in names and ("contact_sheet.png" in names or command is FEATURES)
    )


def test_a_report_names_every_option_and_the_run(tmp_path):
    assert main(["invert", "--steps", "2", "--refine", "0", "--out", str(tmp_path)]) == 0
    report = strict_json(tmp_path / "report.json")
    parameters = {"face", "image", "crop", "prompt", "timestep", "steps", "refine", "model", "out"}
    assert set(report["parameters"]) == parameters and report["parameters"]["out"] == str(tmp_path)
    assert {"model", "sigma", "seconds", "torch", "threads"} < set(report)


def test_a_flat_picture_is_shown_wider():
    assert results.cell_width(torch.zeros(3, 48, 48)) == results.cell_width(torch.zeros(3, 96, 48)) == 128
    assert results.cell_width(torch.zeros(3, 48, 192)) == 256
