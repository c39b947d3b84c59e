"""The cache of a study: a folder with one file for each result.

An interrupted study goes on from its cache. The name of a file is a hash of everything that determines the
result.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

from ..basis import PullbackBasis
from .settings import MODELS, Point, Settings


class Store:
    """The cache of one study.

    Args:
        folder: The folder of the files. It need not exist yet.
        settings: The size of the study.

    Attributes:
        folder: The folder of the files.
        settings: The size of the study.
    """

    def __init__(self, folder: str | Path, settings: Settings):
        self.folder, self.settings = Path(folder).resolve(), settings
        self._fingerprints = {
            data: hashlib.sha256(path.read_bytes()).hexdigest() for data, path in MODELS.items()
        }

    def basis_path(self, point: Point) -> Path:
        """The file of a basis."""
        settings = self.settings
        key = (self._fingerprints[point.data], settings.steps, settings.tolerance, *point)
        return self._path("basis", key, "safetensors")

    def edits_path(self, target: int, timestep: float) -> Path:
        """The file of the edits of a sample."""
        key = (self._fingerprints["faces"], *astuple(self.settings), target, timestep)
        return self._path("edits", key, "json")

    def basis(self, point: Point) -> PullbackBasis:
        """Read a basis.

        Args:
            point: What the basis belongs to.

        Returns:
            The basis.

        Raises:
            FileNotFoundError: The basis is not in the cache.
            ValueError: The file is damaged.
        """
        path = self.basis_path(point)
        with _explaining_damage(path):
            return PullbackBasis.load(path)

    def edits(self, target: int, timestep: float) -> dict[str, Any]:
        """Read the edits of a sample.

        Args:
            target: The number of the sample.
            timestep: The timestep of the edits.

        Returns:
            The result of `measure.compute_edits`.

        Raises:
            FileNotFoundError: The edits are not in the cache.
            ValueError: The file is damaged.
        """
        path = self.edits_path(target, timestep)
        with _explaining_damage(path):
            return json.loads(path.read_text())

    def _path(self, kind: str, key: tuple, ending: str) -> Path:
        return self.folder / f"{kind}-{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}.{ending}"


@contextmanager
def _explaining_damage(path: Path) -> Iterator[None]:
    """Within the block, say of a file that cannot be read what to do about it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"The cached file {str(path)!r} is damaged ({error}); remove it and start the study again."
        ) from error
