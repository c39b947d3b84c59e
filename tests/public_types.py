"""Checks that every public name of pullback_core has a known type: `python tests/public_types.py`.

A function without type hints fails, and so does a hint like `list`, which does not say of what. An attribute
without a hint passes where its type follows from the value that it gets.
"""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]


def verified_symbols() -> list[dict]:
    """What basedpyright finds out about the public names."""
    # It asks the first `python` of PATH where packages are.
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
    }
    command = [sys.executable, "-m", "basedpyright", "--verifytypes", "pullback_core", "--ignoreexternal"]
    done = subprocess.run([*command, "--outputjson"], env=environment, capture_output=True, text=True)
    return json.loads(done.stdout)["typeCompleteness"]["symbols"]


def main() -> int:
    """Print the public names of unknown type. Returns the exit status, 0 if there are none."""
    exported = [symbol for symbol in verified_symbols() if symbol["isExported"]]
    unknown = [symbol for symbol in exported if not symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]]
    for symbol in unknown:
        print(symbol["name"], *(f"    {entry['message']}" for entry in symbol["diagnostics"]), sep="\n")
    print(f"{len(unknown)} of {len(exported)} public names are of unknown type.")
    return 1 if unknown or not exported else 0


if __name__ == "__main__":
    sys.exit(main())
