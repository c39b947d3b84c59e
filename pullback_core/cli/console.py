"""The command line's output and its interrupts: a console that cannot take a text must not cost a result.

Uses the standard library alone, because `watch_imports` has to run before torch is imported.
"""

import os
import signal
import sys
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout

INTERRUPTED = 130  # exit code: 128 + SIGINT, as shells report it
MESSAGE = "pullback_core: interrupted; nothing was half written."


class SafeStream:
    """A text stream that never raises.

    Characters that the console lacks are written as escapes. A stream that is closed, or whose reader has gone, takes nothing more.
    """

    def __init__(self, stream):
        self._stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text):
        self._try(lambda: self._stream.write(self._encodable(text)))
        return len(text)

    def flush(self):
        self._try(lambda: self._stream.flush())

    def isatty(self):
        return bool(self._try(lambda: self._stream.isatty()))

    def writable(self):
        return True

    def fileno(self):
        if self._stream is None:
            raise OSError("This stream is closed.")
        return self._stream.fileno()

    def _encodable(self, text):
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def _try(self, action):
        if self._stream is None:
            return None
        try:
            return action()
        except (OSError, ValueError):  # ValueError: "I/O operation on closed file"
            self._stream = None
            return None


@contextmanager
def safe_output():
    """Within the block, nothing that is printed can raise."""
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(SafeStream(sys.stdout)))
        stack.enter_context(redirect_stderr(SafeStream(sys.stderr)))
        yield


def open_closed_streams():
    """Open the null device in the place of a standard stream that the caller closed.

    Otherwise the first file that is opened would get the stream's number, and the messages of libraries would land in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # for the rest of the process


def give_up_broken_streams():
    """Flush both output streams; one that cannot be flushed goes to the null device, so that Python's own flush at exit works."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            silence(stream)


def silence(stream):
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
    except (OSError, ValueError):
        return  # it has no descriptor, so there is nothing to flush into


def watch_imports():
    """While modules are imported, an interrupt ends the process at once, with one line.

    Importing torch takes a second or more, and an exception raised in the middle of it may be swallowed or end in a traceback.
    Nothing needs to be cleaned up before the command starts. Does nothing where interrupts are ignored, as in background jobs.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def end_watch():
    """From here on an interrupt raises KeyboardInterrupt, as usual."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number, frame):
    try:
        os.write(2, (MESSAGE + "\n").encode())
    except OSError:
        pass  # stderr is closed, so nobody can be told
    os._exit(INTERRUPTED)


def runs_the_command():
    """True while `python -m pullback_core` looks for the module to run; false where the package is imported as a library."""
    started = sys.orig_argv[1:]
    names_package = "-m" in started[:-1] and started[started.index("-m") + 1] == "pullback_core"
    return names_package and sys.argv[:1] == ["-m"]  # what sys.argv[0] is until the module is found


def prepare_command():
    """Make interrupts and closed streams harmless while the modules of the command are imported."""
    open_closed_streams()
    watch_imports()
