"""What do the derivatives of attention cost: plain torch operations against ours, at several sizes of chunks?

Self-attention of one picture, float32, on the CPU. Each line is measured in two processes of its own: seconds
of one J v and of one
J^T u, the second ones, and the peak of memory above what was held before.

    python -m benchmarks.attention
    python -m benchmarks.attention --heads 24 --tokens 4096 --width 128      # Flux at 1024 x 1024, no text
"""

import argparse
import json
import math
import resource
import sys
import time

import torch

from benchmarks.processes import timed_and_weighed
from pullback_core import Jacobian
from pullback_core.rules import attention

CHUNKS = {"one chunk": 2**40, **{f"{size} MiB": size * 2**20 for size in (64, 32, 16, 8, 4)}}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--heads", type=int, default=8, help="the default is Stable Diffusion 1.5 at 512 x 512"
    )
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--width", type=int, default=40)
    parser.add_argument("--only", choices=("plain", *CHUNKS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options)))
        return
    print(
        f"{options.heads} heads of {options.width}, {options.tokens} tokens, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print("                J v           J^T u             GiB")
    first = None
    for name in ("plain", *CHUNKS):
        command = [sys.executable, "-m", "benchmarks.attention", *sys.argv[1:], "--only", name]
        try:
            timed, weighed = timed_and_weighed(command)
        except RuntimeError as error:
            print(f"{name:10s} failed: {error}")
            continue
        found = timed[:2] + weighed[2:]
        first = first or found
        shown = [f"{value:7.3f} {value / base:6.2f}x" for value, base in zip(found, first)]
        print(f"{name:10s} {' '.join(shown)}", flush=True)


def measure(options):
    """Seconds of J v, seconds of J^T u, and GiB, of one way."""

    def plain(x):
        return torch.softmax(x @ (0.5 * x).mT / math.sqrt(options.width), -1) @ (2 * x)

    if options.only != "plain":
        attention.CHUNK_BYTES = CHUNKS[options.only]
    f = plain if options.only == "plain" else lambda x: attention.attention(x, 0.5 * x, 2 * x)
    x = torch.randn(options.heads, options.tokens, options.width)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    jacobian, times = Jacobian(f, x), []
    for product in (jacobian.jvp, jacobian.vjp):
        product(x[None])
        start = time.perf_counter()
        product(x[None])
        times.append(time.perf_counter() - start)
    return *times, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**20


if __name__ == "__main__":
    main()
