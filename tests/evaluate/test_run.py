"""The evaluation on a small scale: it measures, goes on from its cache, and writes what its numbers say."""

import json

import pytest
from small_evaluation import SMALL

from pullback_core.evaluate import evaluate, measurements


def leaves(part, path=()):
    if isinstance(part, dict):
        for key, value in part.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, part


def test_the_report_has_every_number_with_its_interval(evaluation):
    folder, _ = evaluation
    report = json.loads((folder / "out" / "evaluation" / "report.json").read_text())
    parts = "directions", "masks", "words", "strength", "preview", "transport"
    assert set(parts) <= set(report)
    for part in parts:
        for path, number in leaves(report[part]):
            if path[-1] != "pairs":
                value, low, high = number
                assert None in number or (low <= value + 1e-6 and value <= high + 1e-6), (part, path, number)
    own = report["directions"]["picture_rotated"]["0.5"]
    assert {"concentration", "off face / smooth", "distinct forms", "repeats, seed, span"} <= set(own)
    assert set(report["masks"]) == {"mouth"} and report["transport"]["h"]["pairs"] == 2


def test_the_page_has_its_tables_and_pictures(evaluation):
    folder, _ = evaluation
    page = (folder / "out" / "evaluation.md").read_text()
    assert "the command" in page and "picture, rotated" in page and "None" not in page
    assert (folder / "out" / "evaluation" / "face_1.png").read_bytes()[:4] == b"\x89PNG"
    assert "](evaluation/face_1.png)" in page


def test_an_interrupted_evaluation_goes_on_from_its_cache(evaluation, tmp_path):
    folder, report = evaluation
    files = {path: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}
    first = next(path for path in files if path.name.startswith("straight"))
    first.unlink()
    again = evaluate(tmp_path, folder / "cache", SMALL)
    assert [path for path, time in files.items() if path.stat().st_mtime_ns != time] == [first]
    assert again["transport"] == report["transport"]
    own, other = (one["directions"]["smooth"]["0.5"]["concentration"] for one in (again, report))
    assert own == pytest.approx(other, rel=1e-3)


def test_two_local_workers_of_dask_measure_what_one_process_does(evaluation, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask's distributed is not installed")
    pytest.importorskip("joblib", reason="joblib is not installed")
    folder, report = evaluation
    removed = [path for path in (folder / "cache").iterdir() if path.name.startswith("strengths")]
    for path in removed:
        path.unlink()
    local = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path / "dask")
    )
    with local as cluster, distributed.Client(cluster):
        again = evaluate(tmp_path / "out", folder / "cache", SMALL, jobs=2, backend="dask")
    assert len(removed) == 2 and all(path.exists() for path in removed)
    assert again["strength"]["measured"]["0.5"] == pytest.approx(
        report["strength"]["measured"]["0.5"], abs=0.02
    )


def test_backends_that_cannot_serve_are_refused_before_anything_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(measurements, "measure_point", None)
    with pytest.raises(ValueError, match="cannot be used"):
        evaluate(tmp_path / "out", tmp_path / "cache", SMALL, jobs=2, backend="nonsense")
    assert not list(tmp_path.iterdir())
