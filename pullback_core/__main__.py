"""The command line as a process of its own: `python -m pullback_core`."""

import sys

from .cli import console
from .cli.main import main


def start() -> int:
    """Run the command of this process, and return its exit code."""
    console.end_watch()
    try:
        return main()
    finally:
        console.give_up_broken_streams()


sys.exit(start())
