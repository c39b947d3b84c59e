"""The command line as a process of its own: `python -m pullback_core`."""

import sys

from .cli import console
from .cli.commands import main


def start():
    console.end_watch()
    try:
        return main()
    finally:
        console.give_up_broken_streams()


sys.exit(start())
