"""Checks everything that must hold before a change is sent: `python tests/check.py`.

`python tests/check.py lint format` runs these steps alone. The names of the steps are the keys of STEPS.
"""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

# What Python runs in each step.
STEPS = {
    "lint": ["-m", "ruff", "check"],
    "format": ["-m", "ruff", "format", "--check"],
    "types": ["-m", "basedpyright", "--pythonpath", sys.executable],
    "public-types": ["tests/public_types.py"],
    "page": ["tests/page_tools/run.py"],
    "doctests": ["-m", "pytest", "-q", "--durations=0", "--doctest-modules", "pullback_core"],
    "tests": ["-m", "pytest"],
}


def run_step(name: str) -> bool:
    """Run one step and print what it took. Returns whether it passed."""
    print(f"\n== {name}: python {' '.join(STEPS[name])}", flush=True)
    start = time.monotonic()
    done = subprocess.run([sys.executable, *STEPS[name]], cwd=ROOT)
    result = "FAILED" if done.returncode else "passed"
    print(f"== {name} {result} after {time.monotonic() - start:.0f} s", flush=True)
    return done.returncode == 0


def main(names: list[str]) -> int:
    """Run the steps of these names, or all. Returns the exit status, 0 if all passed."""
    unknown = [name for name in names if name not in STEPS]
    if unknown:
        print(f"There is no step {', '.join(unknown)}. The steps are: {', '.join(STEPS)}.", file=sys.stderr)
        return 2
    failed = [name for name in names or STEPS if not run_step(name)]
    print(f"\nFailed: {', '.join(failed)}." if failed else "\nEverything passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
