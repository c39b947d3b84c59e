"""The cache of an evaluation. An interrupted evaluation goes on from it."""

import ast
import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

from .. import faces
from ..atomic import write_atomically
from ..basis import PullbackBasis
from ..faces import regressor
from ..result_cache import ResultCache, file_fingerprint
from .settings import Settings

PACKAGE = Path(__file__).parents[1]


class Store:
    """The cache of one evaluation.

    The names of its files tell apart the weights, the settings, and the source of the modules that a result
    depends on. So a result is measured again when its method has changed.

    Args:
        folder: The folder of the files. It need not exist yet.
        settings: The size of the evaluation.

    Attributes:
        folder: The folder of the files.
        settings: The size of the evaluation.
    """

    def __init__(self, folder: str | Path, settings: Settings) -> None:
        self._cache, self.settings = ResultCache(folder, "evaluation"), settings
        self.folder = self._cache.folder
        sizes = asdict(settings)
        # What is measured on a face does not depend on how many there are, nor on the other timesteps.
        for name in ("faces", "timesteps", "default"):
            del sizes[name]
        self._key = (
            file_fingerprint(faces.WEIGHTS),
            file_fingerprint(regressor.WEIGHTS),
            *sorted(sizes.items()),
        )

    def path(self, name: str, code: str, face: int, timestep: float, ending: str = "json") -> Path:
        """The file of a result.

        Args:
            name: What was measured.
            code: The `code_fingerprint` of the modules that determine it.
            face: The number of the face.
            timestep: A fraction of T.
            ending: The ending of the file's name.

        Returns:
            The path. The file need not exist.
        """
        kind = name.partition(",")[0].replace(" ", "-")
        return self._cache.path(kind, (*self._key, name, code, face, timestep), ending)

    def write(self, path: Path, result: dict[str, Any]) -> None:
        """Write a result of numbers, lists and texts."""
        write_atomically(path, json.dumps(result).encode())

    def read(self, path: Path) -> dict[str, Any]:
        """Read a result.

        Args:
            path: A file of `write`.

        Returns:
            The result.

        Raises:
            FileNotFoundError: It was not measured yet.
            ValueError: The file is damaged.
        """
        with self._cache.explaining_damage(path):
            return json.loads(path.read_text())

    def read_basis(self, path: Path) -> PullbackBasis:
        """Read a basis.

        Args:
            path: A file that `PullbackBasis.save` wrote.

        Returns:
            The basis.

        Raises:
            FileNotFoundError: It was not computed yet.
            ValueError: The file is damaged.
        """
        with self._cache.explaining_damage(path):
            return PullbackBasis.load(path)


@lru_cache  # what runs is what was read first, also where somebody edits the files meanwhile
def code_fingerprint(*files: str) -> str:
    """A hash of the source of some files, apart from comments, docstrings and the layout of lines.

    Args:
        files: Paths within the package, as "directions/rotation.py".

    Returns:
        A hash in hexadecimal digits.
    """
    digest = hashlib.sha256()
    for file in files:
        digest.update(_code((PACKAGE / file).read_text()).encode())
    return digest.hexdigest()


def _code(source: str) -> str:
    """The syntax tree of a source as a text, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = node.body if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) else []
        first = body[0] if body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            del body[0]
    return ast.dump(tree)
