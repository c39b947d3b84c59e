"""Run independent tasks one after another, in several processes, or on several machines by joblib.

A task writes its own results, so that work that was interrupted can go on.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from tqdm import tqdm

Task = tuple[Callable[..., None], tuple[object, ...]]  # a function, and its arguments


def run_tasks(tasks: list[Task], name: str, *, jobs: int = 1, backend: str | None = None) -> None:
    """Run all tasks, and show the progress.

    Call it within `joblib_context`, with the same jobs and backend.

    Args:
        tasks: The tasks, in any order. Other processes get them pickled.
        name: What the progress bar says.
        jobs: Processes of one thread each. 1 stays in this process, -1 takes all processors.
        backend: A joblib backend for many machines; None takes processes of this machine.
    """
    if not tasks:
        return
    done = _in_this_process(tasks) if jobs == 1 else _in_parallel(tasks, jobs, backend)
    for _ in tqdm(done, name, len(tasks)):
        pass


def joblib_context(jobs: int, backend: str | None) -> AbstractContextManager[object]:
    """A context in which joblib uses a backend.

    Args:
        jobs: Processes. 1 without a backend needs no joblib.
        backend: A joblib backend, such as "ray" or "dask". None takes processes of this machine.

    Returns:
        The context.

    Raises:
        ValueError: The jobs or the backend cannot be used.
    """
    if jobs == 0:
        raise ValueError("The jobs are 1 or more processes, or -1 for all processors, got 0.")
    if jobs == 1 and backend is None:
        return nullcontext()
    try:
        context = _configured_joblib("loky" if backend is None else backend)
    except ImportError as error:
        raise ValueError(
            f"More than one job needs joblib, and its backend; {error.name} is not installed. Or use one job."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        # joblib raises one of these for a backend that it does not know or that is not running.
        reason = " ".join(str(error).split())
        raise ValueError(
            f"The backend {backend!r} cannot be used ({reason}); choose another one, or none."
        ) from error
    if jobs == 1:
        print(
            f"One job runs in this process, so the backend {backend!r} is not used; "
            "choose more --jobs to use it."
        )
    return context


def _in_this_process(tasks: list[Task]) -> Iterable[None]:
    for function, arguments in tasks:
        yield function(*arguments)


def _in_parallel(tasks: list[Task], jobs: int, backend: str | None) -> Iterable[None]:
    import joblib

    # Backends for many machines cannot return results one by one. There joblib itself reports the progress.
    options: dict[str, Any] = {"verbose": 10} if backend else {"return_as": "generator_unordered"}
    threads = torch.get_num_threads()  # one, or the number that the user has set
    calls = (joblib.delayed(_with_threads)(threads, *task) for task in tasks)
    return joblib.Parallel(n_jobs=jobs, **options)(calls)


def _with_threads(threads: int, function: Any, arguments: tuple) -> None:
    torch.set_num_threads(threads)
    function(*arguments)


def _configured_joblib(backend: str) -> AbstractContextManager[object]:
    import joblib

    if backend == "ray":
        from ray.util.joblib import register_ray  # pyright: ignore[reportMissingImports]

        register_ray()
    return joblib.parallel_config(backend)
