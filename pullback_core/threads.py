"""One thread for the bundled model: its operations are too small to be shared out.

Each operation ends when the slowest of its threads does. On a busy CPU one of them has to wait for the scheduler, and the others
wait for it, thousands of times a second.

Measured on two cores, torch 2.13, median time of one evaluation of that model on 48 x 48 pixels:

    other work on the machine     1 thread     2 threads
    none (idle)                      7 ms          7 ms
    one busy process                16 ms         65 ms    (longest: 49 ms and 2.6 s)
    one process, batch of 25       0.21 s         4.9 s
"""

import os
import threading
from contextlib import contextmanager

import torch

SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")  # the environment variables that torch reads when it starts


def chosen_by_user():
    """True if the user has set the number of threads in the environment."""
    return any(os.environ.get(name, "").strip() for name in SETTINGS)


@contextmanager
def one_thread():
    """Let torch compute in one CPU thread within the block, and restore the number afterwards, whatever happens in it.

    A number that the user has set in the environment is left as it is. Only the calling thread is affected, where torch counts
    per thread (OpenMP, the usual build). May be nested, and used in several threads at once.
    """
    before = torch.get_num_threads()
    if before == 1 or chosen_by_user():
        yield
        return
    _set_here(1, elsewhere=before)
    try:
        yield
    finally:
        _set_here(before, elsewhere=before)


def _set_here(count, elsewhere):
    """Set the number of this thread. Threads that start computing later get `elsewhere`.

    torch keeps a number per thread, and gives a thread that computes for the first time the number that was set last, in any
    thread. So a thread that ends at once sets it last.
    """
    torch.set_num_threads(count)
    if count == elsewhere:
        return
    setter = threading.Thread(target=torch.set_num_threads, args=(elsewhere,))
    setter.start()
    setter.join()
    if torch.get_num_threads() != count:  # a build with one number for all threads
        torch.set_num_threads(count)
