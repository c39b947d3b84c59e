"""What the study measures: bases along the ways of random samples from noise to picture, and edits with carried directions.

Everything is cached in a folder, file by file, so that a study can be interrupted and goes on where it was. Tasks are
independent, and need nothing but that folder in common.
"""

import hashlib
import json
import math
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch

from .. import ddim, faces
from ..atomic import write_atomically
from ..basis import PullbackBasis, local_basis
from ..guidance import edit_grid
from ..transport import parallel_transport

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
    """samples start from noise of the seeds 0, 1, ... Timesteps are fractions of T on the grid of `steps`."""

    samples: int = 20
    timesteps: tuple = (0.1, 0.26, 0.4, 0.56, 0.7, 0.86, 1.0)
    steps: int = 50
    rank: int = 8
    tolerance: float = 1e-3
    deep_rank: int = 32  # for spectra
    few: int = 6  # samples whose bases are computed for every prompt, every feature and at the deep rank
    prompts: tuple = PROMPTS
    features: tuple = ("input_1", "input_3", "input_5", "middle", "output_0")
    early: float = 0.86  # directions are carried over at these two
    late: float = 0.4
    directions: int = 2  # how many of each sample are carried
    sources: int = 6  # how many other samples' directions are carried to each

    def __post_init__(self):
        if self.samples < 3:
            raise ValueError(
                f"A study needs at least 3 samples, got {self.samples}; more make its intervals narrower."
            )
        object.__setattr__(self, "few", min(self.few, self.samples))
        if not {self.early, self.late} <= set(self.timesteps):
            raise ValueError(f"The timesteps {self.timesteps} must contain {self.early} and {self.late}.")
        for timestep in self.timesteps:
            if not (
                0 < timestep <= 1
                and math.isclose(self.steps * timestep, round(self.steps * timestep), rel_tol=1e-9)
            ):
                raise ValueError(
                    f"The timesteps are multiples of 1/{self.steps} of T, above 0 and at most 1, got {timestep}."
                )
        if any(later <= earlier for earlier, later in pairwise(self.timesteps)):
            raise ValueError(f"The timesteps must rise, got {self.timesteps}.")

    @property
    def some(self):
        """The four timesteps, rising, at which there is more than one basis of a sample."""
        return (self.timesteps[0], self.late, self.early, self.timesteps[-1])


class Point(NamedTuple):
    """Where a basis is taken: at which sample of which model, when, under which prompt, and of which feature."""

    data: str
    sample: int
    timestep: float
    prompt: str = ""
    feature: str = "middle"
    rank: int = 8


def points(settings):
    """All bases of a study."""
    wanted = [
        Point(data, sample, timestep, rank=settings.rank)
        for data in MODELS
        for sample in range(settings.samples)
        for timestep in settings.timesteps
    ]
    for sample in range(settings.few):
        for timestep in settings.some:
            wanted += [
                Point("faces", sample, timestep, prompt, rank=settings.rank) for prompt in settings.prompts
            ]
            wanted += [
                Point("faces", sample, timestep, feature=feature, rank=settings.rank)
                for feature in settings.features
            ]
            wanted.append(Point("faces", sample, timestep, rank=settings.deep_rank))
    return list(dict.fromkeys(wanted))


class Store:
    """The cache of one study. Everything that determines a result is in the name of its file."""

    def __init__(self, folder, settings):
        self.folder, self.settings = Path(folder).resolve(), settings
        self._fingerprints = {
            data: hashlib.sha256(path.read_bytes()).hexdigest() for data, path in MODELS.items()
        }

    def basis_path(self, point):
        return self._path(
            "basis",
            (self._fingerprints[point.data], self.settings.steps, self.settings.tolerance, *point),
            "safetensors",
        )

    def edits_path(self, target, timestep):
        return self._path(
            "edits", (self._fingerprints["faces"], *astuple(self.settings), target, timestep), "json"
        )

    def basis(self, point):
        path = self.basis_path(point)
        with _explaining_damage(path):
            return PullbackBasis.load(path)

    def edits(self, target, timestep):
        path = self.edits_path(target, timestep)
        with _explaining_damage(path):
            return json.loads(path.read_text())

    def _path(self, kind, key, ending):
        return self.folder / f"{kind}-{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}.{ending}"


@contextmanager
def _explaining_damage(path):
    """Say what to do about a file of the cache that cannot be read."""
    try:
        yield
    except ValueError as error:
        raise ValueError(
            f"The cached file {str(path)!r} is damaged ({error}); remove it and start the study again."
        ) from error


def basis_tasks(store):
    """One task for each sample of each model: (function, arguments) of all that is not in the store yet."""
    groups = {}
    for point in points(store.settings):
        if not store.basis_path(point).exists():
            groups.setdefault((point.data, point.sample), []).append(point)
    return [(compute_bases, (store, data, sample, group)) for (data, sample), group in groups.items()]


def edit_tasks(store):
    settings = store.settings
    return [
        (compute_edits, (store, target, timestep))
        for timestep in (settings.early, settings.late)
        for target in range(settings.samples)
        if not store.edits_path(target, timestep).exists()
    ]


def compute_bases(store, data, sample, group):
    """The bases of one sample that are still missing."""
    model = faces.load_model(MODELS[data])
    way = trajectory(faces.FacesDenoiser(model), sample, store.settings)
    for point in group:
        denoiser = faces.FacesDenoiser(model, point.prompt, feature=point.feature)
        sigma = denoiser.schedule.sigma(point.timestep)
        z = denoiser.schedule.to_network(way[point.timestep], sigma)
        local_basis(denoiser, z, sigma, point.rank, tolerance=store.settings.tolerance).save(
            store.basis_path(point)
        )


def compute_edits(store, target, timestep):
    """How the attributes of one sample change along its own directions, and along those carried over from others."""
    settings = store.settings
    denoiser, regressor = faces.FacesDenoiser(faces.load_model()), faces.load_regressor()
    basis_of = lambda sample: store.basis(Point("faces", sample, timestep, rank=settings.rank))
    own, directions, carried = basis_of(target), [], []
    directions.extend(own.v[: settings.directions])
    for source in others(target, settings):
        basis = basis_of(source)
        for index in range(settings.directions):
            moved = parallel_transport(index, basis, own)
            directions.append(moved.direction)
            carried.append({"source": source, "direction": index, "alignment": moved.alignment})
    sigma = denoiser.schedule.sigma(timestep)
    levels = denoiser.schedule.sigmas(settings.steps)[settings.steps - steps_to(timestep, settings) :]
    z = denoiser.schedule.to_network(trajectory(denoiser, target, settings)[timestep], sigma)
    edits = edit_grid(denoiser, z, sigma, torch.stack(directions), [-1.0, 1.0])
    pictures = faces.decode_latent(
        ddim.generate(denoiser, denoiser.schedule.from_network(edits.flatten(0, 1), sigma), levels)
    )
    readings = (regressor(pictures.clamp(-1, 1)) / regressor.deviation).unflatten(0, (-1, 2))
    changes = (readings[:, 1] - readings[:, 0]).tolist()
    for row, change in zip(carried, changes[settings.directions :]):
        row["change"] = change
    write_atomically(
        store.edits_path(target, timestep),
        json.dumps({"own": changes[: settings.directions], "carried": carried}).encode(),
    )


def others(target, settings):
    """The samples whose directions are carried to `target`."""
    return [
        (target + step) % settings.samples
        for step in range(1, min(settings.sources, settings.samples - 1) + 1)
    ]


def steps_to(timestep, settings):
    return round(settings.steps * timestep)


def trajectory(denoiser, sample, settings):
    """DDIM from noise of the seed `sample`: timestep -> x, (1, c, h, w) in sampler coordinates, at all the study's timesteps."""
    levels = denoiser.schedule.sigmas(settings.steps)
    x = levels[0] * torch.randn(1, *faces.LATENT_SHAPE, generator=torch.Generator().manual_seed(sample))
    way, reached = {}, 0
    for timestep in sorted(settings.timesteps, reverse=True):
        index = settings.steps - steps_to(timestep, settings)
        if index > reached:
            x, reached = ddim.generate(denoiser, x, levels[reached : index + 1]), index
        way[timestep] = x
    return way
