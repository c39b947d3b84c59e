"""Parse the command line and run one command."""

import argparse
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from .. import figures
from ..threads import one_thread
from . import commands, console

DEFAULT_COMMAND = "edit"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Without a command, run `edit` with its defaults.

    The command also runs to its end if the console cannot take its output. A console may be closed, be a pipe
    without a reader, or lack characters.

    Args:
        arguments: The command and its options. None takes those of this process.

    Returns:
        The exit code: 0, 2 for unusable input, or 130 after an interrupt.
    """
    with console.safe_output():
        try:
            options = _parse(arguments)
            with one_thread():
                options.run(options)
        except (ValueError, OSError, figures.MissingMatplotlib) as error:
            print(f"pullback_core: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(console.MESSAGE, file=sys.stderr)
            return console.INTERRUPTED
    return 0


class _Parser(argparse.ArgumentParser):
    """Reports a wrong argument as `main` reports all other errors: in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; {self.prog} --help lists what there is.")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    return parser.parse_args([DEFAULT_COMMAND]) if options.run is None else options


def _parser() -> _Parser:
    parser = _Parser(
        prog="python -m pullback_core",
        description="Find and follow the directions a diffusion model knows at one noisy image. "
        f"Without a command: {DEFAULT_COMMAND}.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.set_defaults(run=None)
    subparsers = parser.add_subparsers(metavar="command")
    for module in _command_modules():
        command = subparsers.add_parser(
            _name(module),
            help=module.SUMMARY,
            description=module.SUMMARY,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.set_defaults(run=module.run)
        module.add_arguments(command)
    return parser


def _command_modules() -> list[ModuleType]:
    """The modules of the package `commands`, in the order of --help."""
    names = [found.name for found in pkgutil.iter_modules(commands.__path__)]
    modules = [import_module(f"{commands.__name__}.{name}") for name in names]
    return sorted(modules, key=_position)


def _position(module: ModuleType) -> int:
    return module.POSITION


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", "-")
