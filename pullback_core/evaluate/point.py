"""A face at one noise level, and the bases there: what every measurement starts from."""

from functools import lru_cache
from typing import NamedTuple

import torch

from .. import ddim, faces
from ..basis import PullbackBasis
from ..directions.averaging import averaged_basis, renoised
from ..directions.pictures import with_pictures
from ..directions.rotation import rotated_basis
from ..local_basis import feature_jacobian, local_basis
from ..models.denoiser import PICTURE
from . import moves
from .store import Store, code_fingerprint

BOTTLENECK = "middle"


@lru_cache(maxsize=1)
def load_model() -> faces.FacesModel:
    """The bundled model, once for each process."""
    return faces.load_model()


@lru_cache(maxsize=1)
def load_regressor() -> faces.AttributeRegressor:
    """The bundled regressor, once for each process."""
    return faces.load_regressor()


@lru_cache(maxsize=32)
def load_denoiser(feature: str = BOTTLENECK, prompt: str = "") -> faces.FacesDenoiser:
    """The bundled model as a denoiser, once for each process."""
    return faces.FacesDenoiser(load_model(), prompt, feature=feature)


class Search(NamedTuple):
    """A search for a basis.

    Attributes:
        feature: A block, or `PICTURE`.
        averaged: Whether it is over several noisy versions of the picture.
        seed: The seed of the search.
    """

    feature: str
    averaged: bool = False
    seed: int = 0


class Point:
    """A face at one noise level. What is computed from it is kept as long as the object lives.

    Args:
        store: The cache. Bases are kept there, too.
        face: The number of the example face.
        timestep: A fraction of T.
        rounded: Round the picture to 8 bits before the inversion.
        refine: Fixed-point corrections of the inversion. None takes that of the settings.

    Attributes:
        store: The cache.
        face: The number of the example face.
        timestep: A fraction of T.
        picture: (1, 3, 48, 48) the face, RGB in [-1, 1].
        noisy: Its noisy latent.
        clean: (1, 27, 16, 16) what the noisy latent generates when it is not moved.
        parameters: (22,) of the face, as the regressor reads them.
    """

    def __init__(
        self,
        store: Store,
        face: int,
        timestep: float,
        *,
        rounded: bool = False,
        refine: int | None = None,
    ) -> None:
        self.store, self.face, self.timestep = store, face, timestep
        settings = store.settings
        self._rounded, self._refine = rounded, settings.refine if refine is None else refine
        self.picture = faces.example_faces([face])
        if rounded:
            self.picture = ((self.picture + 1) * 127.5).round() / 127.5 - 1
        denoiser = load_denoiser()
        sigmas = denoiser.schedule.sigmas(round(settings.steps * timestep), start=timestep)
        latent = faces.encode_image(self.picture)
        self.noisy = ddim.invert(denoiser, latent, sigmas, refine=self._refine)
        self.clean = ddim.generate(denoiser, self.noisy)
        with torch.no_grad():
            self.parameters = load_regressor()(self.picture)[0]
        self._bases: dict[tuple[Search, bool], PullbackBasis] = {}

    @property
    def norm(self) -> float:
        """The norm of the noisy latent in network coordinates."""
        return (self.noisy.x.norm() / load_denoiser().schedule.scale(self.noisy.sigma)).item()

    def basis(self, search: Search, *, rotated: bool = False) -> PullbackBasis:
        """A basis at this point, which knows what its directions do to the picture.

        Args:
            search: How it was found.
            rotated: Whether to turn its directions.

        Returns:
            The basis, of the rank of the settings.
        """
        key = search, rotated
        if key not in self._bases:
            if rotated:
                self._bases[key] = rotated_basis(self.basis(search))
            else:
                self._bases[key] = self._searched(search)
        return self._bases[key]

    def _searched(self, search: Search) -> PullbackBasis:
        """The basis of a search, from the cache where it is."""
        code = code_fingerprint("local_basis.py", *(["directions/averaging.py"] if search.averaged else []))
        name = f"basis, {search}, {self._rounded}, {self._refine}"
        path = self.store.path(name, code, self.face, self.timestep, "safetensors")
        if not path.exists():
            found = self._find(search)
            denoiser = load_denoiser(PICTURE)
            with_pictures(found, denoiser, self.noisy).save(path)
        return self.store.read_basis(path)

    def deep_basis(self) -> PullbackBasis:
        """A basis of the picture of larger rank that keeps its search space, for masks and words."""
        path = self.store.path(
            "deep basis", code_fingerprint("local_basis.py"), self.face, self.timestep, "safetensors"
        )
        if not path.exists():
            rank = self.store.settings.deep_rank
            local_basis(load_denoiser(PICTURE), self.noisy, rank, keep_space=True).save(path)
        return self.store.read_basis(path)

    def _find(self, search: Search) -> PullbackBasis:
        denoiser, settings = load_denoiser(search.feature), self.store.settings
        if not search.averaged:
            keep = search.feature == PICTURE and not self._rounded  # it helps transport
            return local_basis(denoiser, self.noisy, settings.rank, seed=search.seed, keep_space=keep)
        latent = faces.encode_image(self.picture)
        versions = renoised(self.noisy, latent, denoiser.schedule, settings.renoised, seed=search.seed)
        return averaged_basis(denoiser, versions, settings.rank, seed=search.seed)

    def products(self, directions: torch.Tensor) -> torch.Tensor:
        """What directions (b, c, h, w) do to the predicted picture, by products with its Jacobian."""
        jacobian = feature_jacobian(load_denoiser(PICTURE), self.noisy)
        return jacobian.jvp(directions)

    def generate(self, displacements: torch.Tensor, *, steps: int | None = None) -> torch.Tensor:
        """Move the noisy latent, and sample it to the end, see `moves.generate`."""
        return moves.generate(load_denoiser(), self.noisy, displacements, steps=steps)
