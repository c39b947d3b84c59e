"""A folder with one file for each result, so that work that was interrupted goes on where it stopped.

The name of a file is a hash of everything that determines the result.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class ResultCache:
    """The files of the results of one command.

    Args:
        folder: The folder of the files. It need not exist yet.
        command: What is started again when a file was removed, for messages: "study".

    Attributes:
        folder: The folder of the files.
    """

    def __init__(self, folder: str | Path, command: str) -> None:
        self.folder, self._command = Path(folder).resolve(), command

    def path(self, kind: str, key: tuple[object, ...], ending: str) -> Path:
        """The file of a result.

        Args:
            kind: What the result is; the name of the file starts with it.
            key: Everything that determines the result. Equal keys have equal representations.
            ending: The ending of the name, without a dot.

        Returns:
            The path. The file need not exist.
        """
        return self.folder / f"{kind}-{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}.{ending}"

    @contextmanager
    def explaining_damage(self, path: Path) -> Iterator[None]:
        """Within the block, say of a file that cannot be read what to do about it.

        Args:
            path: The file that the block reads.

        Raises:
            ValueError: The block raised one.
        """
        try:
            yield
        except ValueError as error:
            raise ValueError(
                f"The cached file {str(path)!r} is damaged ({error}); remove it and start the "
                f"{self._command} again."
            ) from error


def file_fingerprint(path: Path) -> str:
    """A hash of what a file holds, to be part of a key."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
