"""The size of an evaluation."""

import math
from dataclasses import dataclass

from ..directions.strength import UNIT
from .parts import PARTS


@dataclass(frozen=True)
class Settings:
    """The size of an evaluation.

    Attributes:
        faces: Example faces 0, 1, ..., which the model has never seen.
        timesteps: Fractions of T, rising, on the grid of `steps`.
        default: The timestep at which everything is measured, also what is too dear at each of them.
        steps: DDIM steps over the whole of T. With 10 the changes of attributes have a cosine of 0.998 with
            those of 50 steps (0.5 T, 3 faces, 24 directions; the worst 0.987), and cost a fifth.
        refine: Fixed-point corrections of each inversion step.
        rank: Directions of a search. Rotated bases turn all of them.
        deep_rank: Directions of the search for masks and words.
        shown: The first directions of a basis, which are measured.
        change: The change of the picture at equal change: the root mean square over the latent, of half the
            difference between both ends.
        length: The length of a move at equal length, as a share of the norm of the latent.
        guided: The first directions of a basis, which are measured by x-space guidance.
        guidance_steps: Repetitions of x-space guidance.
        renoised: Noisy versions of one picture in an averaged basis.
        carried: How many directions of each source are carried to another face.
        sources: From how many other faces directions are carried to each face.
        parts: The parts of a face that are edited inside a mask.
        words: How many words are tried, the first of `worded.WORDS`.

    Raises:
        ValueError: There are fewer than 2 faces, too few sources for them, or the timesteps do not fit.
    """

    faces: int = 40
    timesteps: tuple[float, ...] = (0.4, 0.5, 0.7)
    default: float = 0.5
    steps: int = 10
    refine: int = 2
    rank: int = 16
    deep_rank: int = 32
    shown: int = 8
    change: float = UNIT
    length: float = 0.1
    guided: int = 4
    guidance_steps: int = 6
    renoised: int = 3
    carried: int = 6
    sources: int = 5
    parts: tuple[str, ...] = tuple(PARTS)
    words: int = 13

    def __post_init__(self) -> None:
        if self.faces < 2:
            raise ValueError(
                f"An evaluation needs at least 2 faces, got {self.faces}; more make its intervals narrower."
            )
        object.__setattr__(self, "sources", min(self.sources, self.faces - 1))
        if self.default not in self.timesteps:
            raise ValueError(f"The timesteps {self.timesteps} must contain the default {self.default}.")
        if list(self.timesteps) != sorted(set(self.timesteps)):
            raise ValueError(f"The timesteps must rise, got {self.timesteps}.")
        for timestep in self.timesteps:
            steps = self.steps * timestep
            if not (0 < timestep <= 1 and math.isclose(steps, round(steps), rel_tol=1e-9)):
                raise ValueError(
                    f"The timesteps are multiples of 1/{self.steps} of T, above 0 and at most 1, "
                    f"got {timestep}."
                )

    def sources_of(self, face: int) -> list[int]:
        """The faces whose directions are carried to a face."""
        return [(face + step) % self.faces for step in range(1, self.sources + 1)]
