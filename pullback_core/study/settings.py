"""The size of a study, and the list of all bases that it needs."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from .. import faces

MODELS = {"faces": faces.WEIGHTS, "expressions": faces.EXPRESSIONS}
PROMPTS = (
    "",
    "smiling",
    "smiling, glasses",
    "smiling, glasses, hat",
    "frowning",
    "frowning, beard",
    "old, grey hair",
    "old, grey hair, glasses",
    "young, red hair, long hair",
    "bald, beard, dark skin, open mouth",
)


@dataclass(frozen=True)
class Settings:
    """The size of a study.

    Attributes:
        samples: Random samples of each model. They start from noise of the seeds 0, 1, ...
        timesteps: Fractions of T on the grid of `steps`, rising.
        steps: DDIM steps over the whole of T.
        rank: Directions of a basis.
        tolerance: The largest residual of a direction.
        deep_rank: Directions of the bases whose spectrum is measured.
        few: The number of samples with a basis for every prompt, every feature and at the deep rank.
        prompts: The prompts that are compared.
        features: The features that are compared.
        early: A timestep near T at which directions are carried over.
        late: A timestep nearer 0 at which directions are carried over.
        directions: How many directions of each sample are carried over.
        sources: How many other samples' directions are carried to each sample.

    Raises:
        ValueError: There are fewer than 3 samples, or the timesteps do not fit.
    """

    samples: int = 20
    timesteps: tuple[float, ...] = (0.1, 0.26, 0.4, 0.56, 0.7, 0.86, 1.0)
    steps: int = 50
    rank: int = 8
    tolerance: float = 1e-3
    deep_rank: int = 32
    few: int = 6
    prompts: tuple[str, ...] = PROMPTS
    features: tuple[str, ...] = ("input_1", "input_3", "input_5", "middle", "output_0")
    early: float = 0.86
    late: float = 0.4
    directions: int = 2
    sources: int = 6

    def __post_init__(self) -> None:
        if self.samples < 3:
            raise ValueError(
                f"A study needs at least 3 samples, got {self.samples}; more make its intervals narrower."
            )
        object.__setattr__(self, "few", min(self.few, self.samples))
        if not {self.early, self.late} <= set(self.timesteps):
            raise ValueError(f"The timesteps {self.timesteps} must contain {self.early} and {self.late}.")
        for timestep in self.timesteps:
            if not self._is_on_grid(timestep):
                raise ValueError(
                    f"The timesteps are multiples of 1/{self.steps} of T, above 0 and at most 1, "
                    f"got {timestep}."
                )
        if any(later <= earlier for earlier, later in pairwise(self.timesteps)):
            raise ValueError(f"The timesteps must rise, got {self.timesteps}.")

    def _is_on_grid(self, timestep: float) -> bool:
        steps = self.steps * timestep
        return 0 < timestep <= 1 and math.isclose(steps, round(steps), rel_tol=1e-9)

    @property
    def four_timesteps(self) -> tuple[float, float, float, float]:
        """The four timesteps, rising, at which a sample has more than one basis."""
        return (self.timesteps[0], self.late, self.early, self.timesteps[-1])

    @property
    def nonempty_prompts(self) -> list[str]:
        """The prompts without the empty one."""
        return [prompt for prompt in self.prompts if prompt]

    def steps_to(self, timestep: float) -> int:
        """DDIM steps from a timestep to 0."""
        return round(self.steps * timestep)


class Point(NamedTuple):
    """What a basis belongs to.

    Attributes:
        data: The model, a key of `MODELS`.
        sample: The number of the sample, which is the seed of its noise.
        timestep: A fraction of T.
        prompt: The prompt of the model.
        feature: The block whose output is h.
        rank: Directions of the basis.
    """

    data: str
    sample: int
    timestep: float
    prompt: str = ""
    feature: str = "middle"
    rank: int = 8


def points(settings: Settings) -> list[Point]:
    """List all bases of a study, each once.

    Args:
        settings: The size of the study.

    Returns:
        One point for each basis.
    """
    rank = settings.rank
    wanted = [
        Point(data, sample, timestep, rank=rank)
        for data in MODELS
        for sample in range(settings.samples)
        for timestep in settings.timesteps
    ]
    for sample in range(settings.few):
        for timestep in settings.four_timesteps:
            wanted += [Point("faces", sample, timestep, prompt, rank=rank) for prompt in settings.prompts]
            wanted += [
                Point("faces", sample, timestep, feature=feature, rank=rank) for feature in settings.features
            ]
            wanted.append(Point("faces", sample, timestep, rank=settings.deep_rank))
    return list(dict.fromkeys(wanted))
