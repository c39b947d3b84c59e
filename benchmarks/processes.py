"""A measurement in processes of its own, so that none sees what another left behind."""

import json
import os
import subprocess

# Freed memory is given back at once there, so that the peak is of what was held. That takes time.
HONEST_PEAKS = {"MALLOC_MMAP_THRESHOLD_": str(2**18)}


def timed_and_weighed(command):
    """What a command prints last, as JSON, of two runs: one for its times, one for its memory.

    Raises RuntimeError with the last line of what a run that failed said.
    """
    found = []
    for more in ({}, HONEST_PEAKS):
        run = subprocess.run(command, capture_output=True, text=True, env=os.environ | more)
        if run.returncode:
            raise RuntimeError(run.stderr.strip().splitlines()[-1])
        found.append(json.loads(run.stdout.splitlines()[-1]))
    return found
