"""Tasks in this process, in several processes, and on the workers of dask."""

import os

import pytest
import torch

from pullback_core import jobs


def write_process(folder, number):
    """A task: it writes the process that ran it, and the threads that torch had."""
    (folder / str(number)).write_text(f"{os.getpid()} {torch.get_num_threads()}")


def tasks(folder, count=4):
    return [(write_process, (folder, number)) for number in range(count)]


def processes(folder):
    return {file.read_text().split()[0] for file in folder.iterdir()}


def run(folder, count=4, **options):
    with jobs.joblib_context(options.get("jobs", 1), options.get("backend")):
        jobs.run_tasks(tasks(folder, count), "tasks", **options)


def test_one_job_stays_in_this_process(tmp_path, capsys):
    run(tmp_path)
    assert processes(tmp_path) == {str(os.getpid())} and len(list(tmp_path.iterdir())) == 4
    assert "4/4" in capsys.readouterr().err


def test_nothing_to_do_is_silent(capsys):
    jobs.run_tasks([], "tasks")
    assert capsys.readouterr() == ("", "")


def test_processes_compute_with_the_threads_of_this_one(tmp_path):
    pytest.importorskip("joblib", reason="joblib is not installed")
    run(tmp_path, jobs=2)
    assert len(list(tmp_path.iterdir())) == 4 and str(os.getpid()) not in processes(tmp_path)
    threads = {file.read_text().split()[1] for file in tmp_path.iterdir()}
    assert threads == {str(torch.get_num_threads())}


def test_two_local_workers_of_dask(tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask's distributed is not installed")
    pytest.importorskip("joblib", reason="joblib is not installed")
    local = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path / "dask")
    )
    (tmp_path / "out").mkdir()
    with local as cluster, distributed.Client(cluster):
        run(tmp_path / "out", jobs=2, backend="dask")
    assert len(list((tmp_path / "out").iterdir())) == 4
    assert str(os.getpid()) not in processes(tmp_path / "out")


@pytest.mark.parametrize(
    "count, backend, message",
    [
        (0, None, "1 or more"),
        (2, "nonsense", "'nonsense' cannot be used"),
        (1, "nonsense", "'nonsense' cannot be used"),
        (2, "ray", "ray"),
        (2, "", "cannot be used"),
    ],
)
def test_jobs_and_backends_that_cannot_serve_are_refused(count, backend, message):
    with pytest.raises(ValueError, match=message):
        jobs.joblib_context(count, backend)


def test_one_job_says_that_it_does_not_use_the_backend(capsys):
    pytest.importorskip("joblib", reason="joblib is not installed")
    jobs.joblib_context(1, "loky")
    assert "choose more --jobs" in capsys.readouterr().out
