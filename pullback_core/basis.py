"""A basis: the leading directions of a diffusion model at one noisy latent."""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import torch

from . import basis_file
from .atomic import write_atomically, write_first_free
from .basis_checks import SINGULAR, TENSORS
from .linalg.svd import SearchSpace
from .models.denoiser import PICTURE
from .noisy import NoisyLatent

SAME_LEVEL = 1e-3  # two noise levels that differ by less than this share are one


@dataclass(frozen=True)
class PullbackBasis:
    """Directions at one noisy latent, and what each of them does to the feature.

    A search finds the leading singular triplets of x_t -> h (Park et al. 2023, section 3.1). Their kind is
    "singular": v and u are orthonormal, and s descends. `directions` makes bases of other kinds out of them.
    For every kind v_i and u_i have length 1, and J v_i = s_i u_i.

    Attributes:
        v: (rank, c, h, w) unit directions in network coordinates (see `models.schedule`).
        s: (rank,) the response of the feature to each direction; of a search, the singular values.
        u: (rank, *H) unit directions in feature space; J v_i = s_i u_i.
        residuals: (rank,) of ||J^T u_i - s_i v_i|| / s_1. For kinds other than "singular" they are those of
            the basis that it was made of.
        products: Jacobian products that were spent.
        converged: Whether every residual is within the tolerance that was asked for.
        sigma: The noise level.
        timestep: The noise level as a fraction of T, in [0, 1].
        seed: The seed of the solver.
        provenance: str -> str: "feature", "model" and "picture" (fingerprints), "prompt" (a hash) and
            "precision" (a dtype), where known.
        kind: "singular", or what the directions are instead: "rotated", "masked", "word", ...
        names: A name for each direction, "" where it has none; or an empty list.
        notes: A text for people.
        thumbnail: (h, w, 3) RGB in uint8, at most 256 pixels wide and high, or None.
        pictures: (rank, c, h, w) J0 v_i, what each direction does to the predicted picture, in sampler
            coordinates. None for a basis of the feature "picture", whose s and u say it, and where it is
            unknown. See `picture_changes`.
        predicted: (c, h, w) x0(z), the picture that the model predicts at the noisy latent, in sampler
            coordinates. None where it is unknown; a search of the feature "picture" knows it.
        search_space: As in `SingularTriplets`, if it was to be kept.
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
    kind: str = SINGULAR
    names: list[str] = field(default_factory=list)
    notes: str = ""
    thumbnail: torch.Tensor | None = None
    pictures: torch.Tensor | None = None
    predicted: torch.Tensor | None = None
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

    def name(self, index: int) -> str:
        """The name of a direction, "" where it has none. index: counted from 0."""
        return self.names[index] if self.names else ""

    def knows_pictures(self) -> bool:
        """Whether the basis knows what its directions do to the predicted picture."""
        return self.pictures is not None or self.provenance.get("feature") == PICTURE

    def picture_changes(self) -> torch.Tensor:
        """What a step of length 1 along each direction does to the predicted picture, to first order.

        Returns:
            (rank, c, h, w) in sampler coordinates.

        Raises:
            ValueError: The basis is of another feature than "picture", and does not know.
        """
        if self.pictures is not None:
            return self.pictures
        if not self.knows_pictures():
            feature = self.provenance.get("feature", "unknown")
            raise ValueError(
                f"A basis of the feature {feature!r} does not know what its directions do to the picture; "
                f"compute one of the feature {PICTURE!r}, or add the changes with `with_pictures`."
            )
        return self.s.view(-1, 1, 1, 1) * self.u

    def known_products(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors whose product with J is known. More of them are known where the search space was kept.

        Returns:
            (k, c, h, w) vectors q in network coordinates, and (k, *H) J q.
        """
        if self.search_space is None:
            return self.v, self.s.view(-1, *[1] * (self.u.ndim - 1)) * self.u
        q = self.search_space.q.view(-1, *self.v.shape[1:])
        return q, (self.search_space.images * self.search_space.scale).view(-1, *self.u.shape[1:])

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
        parts = {name: getattr(self, name)[chosen] for name in TENSORS}
        pictures = None if self.pictures is None else self.pictures[chosen]
        names = [self.names[index] for index in chosen] if self.names else []
        return replace(self, **parts, pictures=pictures, names=names, search_space=None)

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
        """The same basis with its tensors on a device. The thumbnail stays where it is."""
        parts = {name: getattr(self, name).to(device) for name in TENSORS}
        pictures = None if self.pictures is None else self.pictures.to(device)
        predicted = None if self.predicted is None else self.predicted.to(device)
        space = self.search_space
        if space is not None:
            q, images, returns = (rows.to(device) for rows in space[:3])
            space = SearchSpace(q, images, returns, space.scale)
        return replace(self, **parts, pictures=pictures, predicted=predicted, search_space=space)

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
