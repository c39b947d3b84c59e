"""Run the bundled model in one thread: its operations are too small for several.

An operation ends when its slowest thread ends. On a busy CPU one thread has to wait for the scheduler, and
the other threads wait for that thread. This happens thousands of times a second.

Measured on two cores, torch 2.13, median time of one evaluation of that model on 48 x 48 pixels:

    other work on the machine     1 thread     2 threads
    none (idle)                      7 ms          7 ms
    one busy process                16 ms         65 ms    (longest: 49 ms and 2.6 s)
    one process, batch of 25       0.21 s         4.9 s
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # the environment variables that torch reads when it starts


def chosen_by_user() -> bool:
    """True if the user has set the number of threads in the environment."""
    return any(os.environ.get(name, "").strip() for name in SETTINGS)


@contextmanager
def one_thread() -> Iterator[None]:
    """Within the block, torch computes in one CPU thread. On exit the number of threads is restored.

    A number that the user has set in the environment stays. In the usual build of torch (OpenMP) only the
    calling thread is affected. Blocks may be nested, and several threads may use them at once.
    """
    before = torch.get_num_threads()
    if before == 1 or chosen_by_user():
        yield
        return
    _set_in_this_thread(1, elsewhere=before)
    try:
        yield
    finally:
        _set_in_this_thread(before, elsewhere=before)


def _set_in_this_thread(count: int, elsewhere: int) -> None:
    """Set the number for the calling thread. Threads that start computing later get `elsewhere`.

    torch keeps one number per thread. A thread that computes for the first time gets the number that was
    set last, in any thread. So a short-lived thread sets `elsewhere` last.
    """
    torch.set_num_threads(count)
    if count == elsewhere:
        return
    setter = threading.Thread(target=torch.set_num_threads, args=(elsewhere,))
    setter.start()
    setter.join()
    if torch.get_num_threads() != count:  # a build with one number for all threads
        torch.set_num_threads(count)
