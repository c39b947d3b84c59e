"""The cache of a study. An interrupted study goes on from it."""

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

from ..basis import PullbackBasis
from ..result_cache import ResultCache, file_fingerprint
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
        self._cache, self.settings = ResultCache(folder, "study"), settings
        self.folder = self._cache.folder
        self._fingerprints = {data: file_fingerprint(path) for data, path in MODELS.items()}

    def basis_path(self, point: Point) -> Path:
        """The file of a basis."""
        settings = self.settings
        key = (self._fingerprints[point.data], settings.steps, settings.tolerance, *point)
        return self._cache.path("basis", key, "safetensors")

    def edits_path(self, target: int, timestep: float) -> Path:
        """The file of the edits of a sample."""
        key = (self._fingerprints["faces"], *astuple(self.settings), target, timestep)
        return self._cache.path("edits", key, "json")

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
        with self._cache.explaining_damage(path):
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
        with self._cache.explaining_damage(path):
            return json.loads(path.read_text())
