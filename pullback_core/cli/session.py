"""The computations that several commands share, with progress bars and the time of each phase."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from .. import ddim, faces
from ..basis import PullbackBasis
from ..directions.averaging import averaged_basis
from ..directions.linear_range import linear_range
from ..directions.strength import edit_by
from ..guidance import edit_grid
from ..local_basis import local_basis
from ..models.denoiser import Denoiser
from ..noisy import NoisyLatent
from .options import shorten

GUIDANCE_UNIT, PICTURE_UNIT = "guidance", "picture"  # what strengths count, see `Session.edit`
DEFAULT_FEATURE = "middle"  # the paper's bottleneck


class RoundTrip(NamedTuple):
    """What an inversion and the generation from it give back of a picture.

    Attributes:
        image: (3, h, w), the reconstruction.
        psnr: Its peak signal-to-noise ratio in dB.
    """

    image: torch.Tensor
    psnr: float


class _ProgressBar(tqdm):
    """A progress bar with methods that fit the `progress` arguments of the algorithms."""

    def advance(self, *_: object) -> None:
        """Count one step."""
        self.update()

    def show_products(self, products: int) -> None:
        """Count Jacobian products."""
        self.update(products - self.n)

    def show_rounds(self, done: int, total: int) -> None:
        """Count rounds, and show how many there are."""
        self.total = total
        self.update(done - self.n)

    def show_search(self, products: int, residual: float) -> None:
        """Count Jacobian products, and show the largest residual."""
        self.set_postfix_str(f"residual {residual:.1e}")
        self.update(products - self.n)


class Session:
    """One run of a command: the model under a prompt, at one noise level.

    Args:
        model: The model file.
        prompt: What the picture shows.
        timestep: The noise level as a fraction of T.
        steps: DDIM steps over the whole of T.
        feature: What the directions change, as in `FacesDenoiser`: the name of a block, or "picture".

    Attributes:
        denoiser: The bundled model, or one of its kind.
        prompt: What the picture shows.
        sigma: The noise level.
        sigmas: (steps + 1,) decreasing noise levels from `sigma` to 0.
        steps: DDIM steps from `sigma` to 0.
        seconds: The time of each phase so far, by its name.

    Raises:
        ValueError: The file is not a model, the model does not know a word of the prompt, or there is no
            such feature.
        FileNotFoundError: There is no such file.
    """

    def __init__(
        self, model: Path, prompt: str, *, timestep: float, steps: int, feature: str = DEFAULT_FEATURE
    ):
        self.denoiser = faces.FacesDenoiser(faces.load_model(model), prompt, feature=feature)
        self.prompt = prompt
        schedule = self.denoiser.schedule
        self.sigma = schedule.sigma(timestep)
        self.steps = max(1, round(steps * timestep))
        self.sigmas = schedule.sigmas(self.steps, start=timestep)
        self.seconds: dict[str, float] = {}

    def with_feature(self, feature: str) -> faces.FacesDenoiser:
        """The same model under the same prompt, with another feature. feature: as in `FacesDenoiser`."""
        return faces.FacesDenoiser(self.denoiser.model, self.prompt, feature=feature)

    def with_prompt(self, prompt: str) -> faces.FacesDenoiser:
        """The same model and feature, under another prompt. prompt: as in `FacesDenoiser`."""
        return faces.FacesDenoiser(self.denoiser.model, prompt, feature=self.denoiser.feature)

    def require_rank(self, rank: int, image: torch.Tensor, denoiser: Denoiser | None = None) -> None:
        """Check that a basis can have so many directions.

        Args:
            rank: How many directions the basis would have.
            image: (3, h, w), the picture of the basis.
            denoiser: The model and its feature. None takes the one of this session.

        Raises:
            ValueError: The noisy latent, or the feature of it, has fewer numbers than `rank`.
        """
        latent = faces.encode_image(torch.zeros_like(image)[None])
        with torch.no_grad():
            feature = (denoiser or self.denoiser).encode(latent, self.sigma)
        largest = min(latent.numel(), feature.numel())
        if rank > largest:
            raise ValueError(
                f"--rank must be from 1 to {largest}, the size of the model's features, got {shorten(rank)}."
            )

    @contextmanager
    def phase(self, name: str, total: int | None = None) -> Iterator[_ProgressBar]:
        """Show a progress bar within the block, and add the time of the block to `seconds`.

        Args:
            name: The name of the phase.
            total: The number of steps, where it is known.

        Yields:
            The progress bar.
        """
        start = time.perf_counter()
        with _ProgressBar(total=total, desc=name, leave=True) as bar:
            yield bar
        self.seconds[name] = round(self.seconds.get(name, 0) + time.perf_counter() - start, 3)

    def invert(self, image: torch.Tensor, refine: int) -> tuple[NoisyLatent, RoundTrip]:
        """Invert a picture, and generate it again.

        Args:
            image: (3, h, w) RGB in [-1, 1].
            refine: Corrections of each inversion step, as in `ddim.invert`.

        Returns:
            The noisy latent, and the round trip.
        """
        x0 = faces.encode_image(image[None])
        with self.phase("DDIM inversion", 2 * self.steps) as bar:
            noisy = ddim.invert(self.denoiser, x0, self.sigmas, refine=refine, progress=bar.advance)
            back = ddim.generate(self.denoiser, noisy, progress=bar.advance)
        reconstruction = faces.decode_latent(back)[0]
        return noisy, RoundTrip(reconstruction, psnr(reconstruction, image))

    def basis(
        self, noisy: NoisyLatent, rank: int, *, tolerance: float, seed: int, keep_space: bool = False
    ) -> PullbackBasis:
        """Find the directions at a noisy latent. Prints a line if the search did not converge.

        Args:
            noisy: The noisy latent. Several latents get one averaged basis, as in `averaged_basis`.
            rank: How many directions to find.
            tolerance: The largest residual of a direction.
            seed: The seed of the search.
            keep_space: Keep all that the search finds out, as in `local_basis`.

        Returns:
            The basis.
        """
        search = local_basis if len(noisy) == 1 else averaged_basis
        with self.phase("pullback basis") as bar:
            basis = search(
                self.denoiser,
                noisy,
                rank,
                tolerance=tolerance,
                seed=seed,
                progress=bar.show_search,
                keep_space=keep_space,
            )
        if not basis.converged:
            print(
                f"The basis is not fully converged: residual {basis.residuals.max():.1e} "
                f"after {basis.products} products."
            )
        return basis

    def linear_range(self, noisy: NoisyLatent, basis: PullbackBasis) -> list[list[float]]:
        """Find how far the picture changes in proportion to the strength.

        Args:
            noisy: One noisy latent.
            basis: Directions at the same noise level.

        Returns:
            For each direction the smallest and the largest strength of the range, in units of what is seen.
        """
        with self.phase("linear range") as bar:
            ends = linear_range(self.denoiser, noisy, basis, progress=bar.show_rounds)
        return [[-round(back, 2), round(forth, 2)] for back, forth in ends.tolist()]

    def edit(
        self,
        noisy: NoisyLatent,
        directions: torch.Tensor | PullbackBasis,
        strengths: list[float],
        *,
        boost: float,
        seed: int,
        unit: str = GUIDANCE_UNIT,
        guidance_steps: int = 16,
    ) -> list[list[torch.Tensor]]:
        """Edit a noisy latent along each direction at each strength, and generate the pictures.

        Args:
            noisy: One noisy latent.
            directions: (d, c, h, w) in network coordinates, or a basis at the same noise level.
            strengths: In the unit.
            boost: Quality boosting below this fraction of T, see `ddim.generate`.
            seed: The seed of the noise that quality boosting adds.
            unit: "guidance": strengths of x-space guidance, as in `edit_grid`. "picture": units of what is
                seen, reached by straight moves, as in `edit_by`.
            guidance_steps: Repetitions of x-space guidance.

        Returns:
            For each direction a list with an image (3, h, w) for each strength.

        Raises:
            ValueError: The edit led to numbers that are not finite.
        """
        if unit == GUIDANCE_UNIT:
            with self.phase("x-space guidance", guidance_steps) as bar:
                edited = edit_grid(
                    self.denoiser, noisy, directions, strengths, steps=guidance_steps, progress=bar.advance
                )
        else:
            with self.phase("strengths") as bar:
                edited = edit_by(self.denoiser, noisy, directions, strengths, progress=bar.show_rounds)
        with self.phase("DDIM generation", len(noisy.sigmas) - 1) as bar:
            x0 = ddim.generate(self.denoiser, edited, boost_below=boost, seed=seed, progress=bar.advance)
        if not torch.isfinite(x0).all():
            raise ValueError(
                "The edit led to numbers that are not finite; choose a smaller --strength, "
                "or fewer --guidance-steps."
            )
        images = faces.decode_latent(x0).clamp(-1, 1)
        return [list(row) for row in images.split(len(strengths))]


def psnr(image: torch.Tensor, reference: torch.Tensor) -> float:
    """The peak signal-to-noise ratio of two RGB images in [-1, 1], in dB. Infinite if they are equal."""
    error = (image - reference).square().mean().item()
    return 10 * math.log10(4 / error) if error else math.inf  # the peak is 2
