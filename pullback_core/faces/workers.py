"""Training in several processes of one thread each: on a CPU faster than as many threads in one process."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessExitedException, spawn


def run_workers(work: Callable[..., None], arguments: tuple[Any, ...], workers: int) -> None:
    """Run a function in several processes. An interrupt ends them all, and is raised here only.

    Args:
        work: Called as work(rank, *arguments) in each process, with a rank from 0. Its process ignores
            interrupts.
        arguments: Of the function.
        workers: The number of processes.

    Raises:
        ChildProcessError: The system ended a process.
    """
    with _ignoring_interrupts():  # the processes inherit this, so it holds from their first moment
        context: Any = spawn(work, arguments, nprocs=workers, join=False)
    try:
        while not context.join():
            pass
    except ProcessExitedException as error:
        raise ChildProcessError(
            f"A training process was ended by the system ({error}); "
            "if memory ran out, choose a smaller batch or fewer workers."
        ) from error
    finally:
        for process in context.processes:
            process.terminate()
            process.join()


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Ignore SIGINT within the block.

    Python allows that only in the main thread, which is also the only thread that is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def joined(rank: int, workers: int, meeting_point: str) -> Iterator[None]:
    """Connect this process with the others for `average_gradients`. At the end it waits for all of them.

    Args:
        rank: The rank of this process.
        workers: The number of processes.
        meeting_point: A file that does not exist yet, by which the processes find each other.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"file://{meeting_point}", rank=rank, world_size=workers)
    yield
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def average_gradients(model: torch.nn.Module, workers: int) -> None:
    """Replace the gradients of a model by their average over all processes.

    Args:
        model: The same network in every process. Every parameter has a gradient.
        workers: The number of processes.
    """
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    torch.distributed.all_reduce(flat)
    sizes = [gradient.numel() for gradient in gradients]
    for gradient, part in zip(gradients, flat.split(sizes), strict=True):
        gradient.copy_(part.view_as(gradient) / workers)
