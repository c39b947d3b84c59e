"""Output and interrupts of the command line. A console that cannot take the output must not stop a command.

This file uses only the standard library, because it runs before torch is imported.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from types import FrameType
from typing import TextIO, TypeVar

Result = TypeVar("Result")

INTERRUPTED = 130  # exit code: 128 + SIGINT, as shells report it
MESSAGE = "pullback_core: interrupted; nothing was half written."


class SafeStream:
    """A text stream whose methods for writing never raise.

    Characters that the console lacks are written as escapes. Output is dropped once the stream is closed or
    its reader has gone.
    """

    def __init__(self, stream: TextIO | None):
        """Wrap a stream; None is a closed one."""
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write a text. Returns its length, also where it was dropped."""
        if self._stream is not None:
            self._try(
                self._stream.write, text.encode(self.encoding, "backslashreplace").decode(self.encoding)
            )
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        if self._stream is not None:
            self._try(self._stream.flush)

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream is not None and bool(self._try(self._stream.isatty))

    def writable(self) -> bool:
        """Always True."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream. Raises OSError where there is none."""
        if self._stream is None:
            raise OSError("This stream is closed.")
        return self._stream.fileno()

    def _try(self, action: Callable[..., Result], *arguments: object) -> Result | None:
        """Call a method of the stream. If it fails, give the stream up."""
        try:
            return action(*arguments)
        except (OSError, ValueError):  # ValueError: "I/O operation on closed file"
            self._stream = None
            return None


@contextmanager
def safe_output() -> Iterator[None]:
    """Within the block, printing never raises."""
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(SafeStream(sys.stdout)))
        stack.enter_context(redirect_stderr(SafeStream(sys.stderr)))
        yield


def open_closed_streams() -> None:
    """Open the null device for each standard stream that the caller closed.

    Otherwise the next file that is opened would get the stream's number, and libraries would write their
    messages into that file.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # for the rest of the process


def give_up_broken_streams() -> None:
    """Flush both output streams. A stream that fails is redirected to the null device.

    Python flushes the streams again at exit, and would report the failure there.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _redirect_to_null(stream)


def _redirect_to_null(stream: TextIO) -> None:
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
    except (OSError, ValueError):
        return  # the stream has no descriptor, so Python cannot flush it either


def watch_imports() -> None:
    """From here on an interrupt ends the process at once, with one line.

    Importing torch takes a second or more. A KeyboardInterrupt in the middle of an import may be swallowed
    or end in a traceback. Before the command starts there is nothing to clean up. Where interrupts are
    ignored, as in background jobs, they stay ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def end_watch() -> None:
    """End `watch_imports`. From here on an interrupt raises KeyboardInterrupt, as usual."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    try:
        os.write(2, (MESSAGE + "\n").encode())
    except OSError:
        pass  # stderr is closed
    os._exit(INTERRUPTED)


def runs_the_command() -> bool:
    """True while `python -m pullback_core` starts. False where the package is imported as a library."""
    started = sys.orig_argv[1:]
    names_package = "-m" in started[:-1] and started[started.index("-m") + 1] == "pullback_core"
    return names_package and sys.argv[:1] == [
        "-m"
    ]  # Python sets sys.argv[0] to "-m" until it has found the module


def prepare_command() -> None:
    """Make interrupts and closed streams harmless while modules are imported."""
    open_closed_streams()
    watch_imports()
