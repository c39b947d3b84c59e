"""A basis: the leading directions of a diffusion model at one noisy latent."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch

from . import basis_file
from .atomic import write_atomically, write_first_free
from .linalg.svd import SearchSpace
from .noisy import NoisyLatent

SAME_LEVEL = 1e-3  # two noise levels that differ by less than this share are one


@dataclass(frozen=True)
class PullbackBasis:
    """The leading singular triplets of x_t -> h at one point (Park et al. 2023, section 3.1).

    Attributes:
        v: (rank, c, h, w) orthonormal directions in network coordinates (see `models.schedule`).
        s: (rank,) singular values, descending.
        u: (rank, *H) orthonormal directions in feature space; J v_i = s_i u_i.
        residuals: (rank,) of ||J^T u_i - s_i v_i|| / s_1.
        products: Jacobian products that were spent.
        converged: Whether every residual is within the tolerance that was asked for.
        sigma: The noise level.
        timestep: The noise level as a fraction of T, in [0, 1].
        seed: The seed of the solver.
        provenance: str -> str: "feature", "model" and "picture" (fingerprints), "prompt" (a hash) and
            "precision" (a dtype), where known.
        search_space: As in `SingularTriplets`, if it was to be kept. It is not saved.
    """

    v: torch.Tensor
    s: torch.Tensor
    u: torch.Tensor
    residuals: torch.Tensor
    products: int
    converged: bool
    sigma: float
    timestep: float
    seed: int = 0
    provenance: dict[str, str] = field(default_factory=dict)
    search_space: SearchSpace | None = None

    @property
    def rank(self) -> int:
        """The number of directions."""
        return len(self.s)

    def direction(self, index: int) -> torch.Tensor:
        """One direction, of unit length.

        Args:
            index: Its number, counted from 0.

        Returns:
            (c, h, w) in network coordinates.

        Raises:
            ValueError: The basis has no such direction.
        """
        if not 0 <= index < self.rank:
            raise ValueError(f"This basis has directions 0 to {self.rank - 1}, got {index}.")
        return self.v[index]

    def select(self, indices: Iterable[int]) -> "PullbackBasis":
        """Some directions, as a basis of their own.

        Args:
            indices: Their numbers, counted from 0, in rising order.

        Returns:
            A basis at the same point, without a search space.

        Raises:
            ValueError: The basis has no such direction, or no index is given.
        """
        chosen = list(indices)
        if not chosen:
            raise ValueError("A basis has at least one direction, got none to select.")
        for index in chosen:
            self.direction(index)
        parts = {name: getattr(self, name)[chosen] for name in basis_file.TENSORS}
        return replace(self, **parts, search_space=None)

    def require_level(self, noisy: NoisyLatent) -> None:
        """Refuse a noisy latent of another noise level.

        Args:
            noisy: The latent that the basis is to be used at.

        Raises:
            ValueError: The levels differ by more than a thousandth.
        """
        if not are_same_level(self.sigma, noisy.sigma):
            raise ValueError(
                f"The basis is of noise level {self.sigma:.4g}, and the noisy latent has level "
                f"{noisy.sigma:.4g}; use the noisy latent that the basis was computed from."
            )

    def to(self, device: torch.device | str) -> "PullbackBasis":
        """The same basis with its tensors on a device, without its search space."""
        parts = {name: getattr(self, name).to(device) for name in basis_file.TENSORS}
        return replace(self, **parts, search_space=None)

    def save(self, path: str | Path) -> None:
        """Write a safetensors file, whole or not at all.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            ValueError: `load` would refuse the file. Nothing is written.
            OSError: The system refuses, see `write_atomically`.
        """
        write_atomically(path, self._to_bytes())

    def save_as_first_free(self, paths: Iterable[Path]) -> Path:
        """Write a safetensors file to the first path that does not exist yet.

        Args:
            paths: Files in one folder.

        Returns:
            The path of the file.

        Raises:
            ValueError: As in `save`.
            FileExistsError: Every path exists.
        """
        return write_first_free(paths, self._to_bytes())

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> "PullbackBasis":
        """Read and validate a file of `save`, also of older versions.

        Args:
            path: The file, which may come from anybody.
            device: Where the tensors shall be.

        Returns:
            The basis.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file is not a sound basis; the sentence gives the reason.
            OSError: The file cannot be read.
        """
        return cls(**basis_file.read(path)).to(device)

    def _to_bytes(self) -> bytes:
        return basis_file.to_file({one.name: getattr(self, one.name) for one in fields(self)})


def are_same_level(one: float, other: float) -> bool:
    """Whether two noise levels are one, apart from rounding."""
    return abs(one - other) <= SAME_LEVEL * max(one, other)


def require_one_origin(one: PullbackBasis, other: PullbackBasis) -> None:
    """Refuse two bases that do not belong together.

    Args:
        one: A basis.
        other: Another basis.

    Raises:
        ValueError: They are known to be of different models or features.
    """
    for name in ("model", "feature"):
        first, second = one.provenance.get(name), other.provenance.get(name)
        if first != second and None not in (first, second):
            raise ValueError(
                f"The bases differ in their {name} ({first} and {second}); compute them with the same one."
            )
