"""The study on a small scale: it measures, goes on from its cache, and writes what its numbers say."""

import csv
import json
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from small_study import SMALL

from pullback_core import threads
from pullback_core.cli.commands import study as study_command
from pullback_core.cli.main import main
from pullback_core.linalg import subspaces
from pullback_core.study import measure, run, run_study
from pullback_core.study.findings import Interval
from pullback_core.study.page import anchor
from pullback_core.study.settings import Point
from pullback_core.study.store import Store


def test_every_finding_has_a_number_a_figure_and_a_table(study):
    folder, found = study
    report = json.loads((folder / "out" / "report.json").read_text())["findings"]
    page = (folder / "out" / "findings.md").read_text()
    assert "the command" in page
    for finding in found:
        value, low, high = finding.number
        assert np.isfinite([value, low, high]).all() and low <= high
        assert report[finding.name]["verdict"] == finding.verdict
        assert (folder / "out" / f"{finding.name}.png").read_bytes()[:4] == b"\x89PNG"
        with open(folder / "out" / f"{finding.name}.csv", newline="") as file:
            assert len(list(csv.DictReader(file))) == len(finding.table) > 0
        assert f"## {finding.title}" in page and f"]({finding.name}.png)" in page
    anchors = {anchor(line.removeprefix("## ")) for line in page.splitlines() if line.startswith("## ")}
    assert set(re.findall(r"\]\(#([^)]*)\)", page)) == anchors


def test_numbers_are_those_of_the_bases(study):
    folder, found = study
    store = Store(folder / "cache", SMALL)
    bases = [store.basis(Point("faces", sample, 0.6, rank=2)) for sample in range(4)]
    expected = np.mean([subspaces.geodesic_distance(a, b) for a in bases for b in bases if a is not b])
    table = next(finding for finding in found if finding.name == "samples").table
    assert next(row for row in table if row["timestep"] == 0.6 and row["space"] == "h")[
        "distance"
    ] == pytest.approx(expected)


def test_what_is_measured_is_not_measured_again(study, monkeypatch):
    folder, found = study
    kept = {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}
    first, *_ = kept
    first.unlink()
    again = run_study(folder / "again", folder / "cache", SMALL)
    changed = [path for path, time in kept.items() if path.stat().st_mtime_ns != time]
    assert changed == [first]
    assert [finding.number for finding in again] == [finding.number for finding in found]


def test_processes_measure_what_one_does(study, tmp_path):
    pytest.importorskip("joblib", reason="joblib is not installed")
    one = study[1]
    two = run_study(tmp_path / "out", tmp_path / "cache", SMALL, jobs=2)
    for finding, other in zip(one, two):
        assert other.number == pytest.approx(finding.number, abs=0.05), finding.name


@pytest.mark.parametrize(
    "jobs, backend, message",
    [
        (0, None, "1 or more"),
        (2, "nonsense", "'nonsense' cannot be used"),
        (1, "nonsense", "'nonsense' cannot be used"),
        (2, "ray", "ray"),
        (2, "", "cannot be used"),
    ],
)
def test_jobs_and_backends_that_cannot_serve_are_refused_before_anything_is_measured(
    jobs, backend, message, tmp_path, monkeypatch
):
    monkeypatch.setattr(measure, "compute_bases", None)
    with pytest.raises(ValueError, match=message):
        run_study(tmp_path / "out", tmp_path / "cache", SMALL, jobs=jobs, backend=backend)
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_unknown_are_null_in_the_report(study, tmp_path, monkeypatch):
    unknown = study[1][0]._replace(name="name", number=Interval(1.0, np.nan, np.inf), sign=1, neutral=0.0)
    monkeypatch.setattr(run, "all_findings", lambda store: [unknown])
    run_study(tmp_path / "out", study[0] / "cache", SMALL)
    text = (tmp_path / "out" / "report.json").read_text()
    found = json.loads(text)["findings"]["name"]
    assert (found["value"], found["low"], found["high"], found["verdict"]) == (
        1.0,
        None,
        None,
        "is undecided",
    )
    assert "NaN" not in text and "Infinity" not in text


def test_the_study_computes_in_one_thread(study, tmp_path, monkeypatch):
    for name in threads.SETTINGS:
        monkeypatch.delenv(name, raising=False)
    seen = []
    monkeypatch.setattr(run, "all_findings", lambda store: seen.append(torch.get_num_threads()) or [])
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run_study(tmp_path / "out", study[0] / "cache", SMALL)
        assert seen == [1] and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_command_prints_the_verdicts(study, tmp_path, monkeypatch, capsys):
    small = partial(replace, SMALL)
    small.samples = 20
    monkeypatch.setattr(study_command, "Settings", small)
    assert main(["study", "--samples", "4", "--cache", str(study[0] / "cache"), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert all(f"{finding.verdict}  {finding.title}" in printed for finding in study[1])
    assert "study --samples 4" in (tmp_path / "findings.md").read_text()
