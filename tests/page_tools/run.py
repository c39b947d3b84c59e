"""Checks the code of the page, web/js: types by tsc, lint by eslint, and the tests in tests/page by node.

`python tests/page_tools/run.py` runs all, `python tests/page_tools/run.py types` one of CHECKS. npm installs
what it needs into this folder. Where npm is missing, or its registry does not answer, it says so and skips.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent / "page"
LIMIT = 600  # seconds that a command may take; far more than a busy machine needs
# What npm says if it cannot reach its registry.
UNREACHABLE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
# The scripts of package.json, and what is added to them.
CHECKS = {
    "types": [],
    "lint": [],
    "tests": ["--", *(str(path) for path in sorted(TESTS.rglob("*.test.mjs")))],
}


def is_installed() -> bool:
    """Whether node_modules is not older than what package-lock.json asks for."""
    installed, wanted = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
    return installed.is_file() and installed.stat().st_mtime >= wanted.stat().st_mtime


def install(npm: str) -> str:
    """Install what package-lock.json names. Returns why the registry was not reached, or an empty text."""
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT
    )
    if done.returncode == 0:
        os.utime(HERE / "node_modules" / ".package-lock.json")
        return ""
    unreached = [line for line in done.stdout.splitlines() if any(name in line for name in UNREACHABLE)]
    if unreached:
        return f"the registry of npm does not answer ({unreached[0].strip()})"
    sys.exit(f"`npm ci` failed in {HERE}:\n{done.stdout}")


def main(names: list[str]) -> int:
    """Run the checks of these names, or all. Returns the exit status, 0 if all passed."""
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        print(
            f"There is no check {', '.join(unknown)}. The checks are: {', '.join(CHECKS)}.", file=sys.stderr
        )
        return 2
    npm = shutil.which("npm")
    reason = "npm is not installed" if npm is None else "" if is_installed() else install(npm)
    if npm is None or reason:
        print(f"The code of the page is not checked: {reason}.")
        return 0
    commands = {name: [npm, "run", "--silent", name, *CHECKS[name]] for name in names or CHECKS}
    failed = [
        name
        for name, command in commands.items()
        if subprocess.run(command, cwd=HERE, timeout=LIMIT).returncode
    ]
    print(f"The code of the page failed: {', '.join(failed)}." if failed else "The code of the page passed.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
