"""What a study measures: bases between noise and picture, and edits along carried directions.

The work is split into tasks. Tasks are independent, share only the folder of the `Store`, and can run in
several processes or on several machines.
"""

import json
from typing import Any

import torch

from .. import ddim, faces
from ..atomic import write_atomically
from ..guidance import edit_grid
from ..jobs import Task
from ..local_basis import local_basis
from ..noisy import NoisyLatent
from ..transport import parallel_transport
from .settings import MODELS, Point, Settings, points
from .store import Store


def basis_tasks(store: Store) -> list[Task]:
    """The tasks that compute the bases that are missing, one for each sample of each model.

    Args:
        store: The cache of the study.

    Returns:
        The tasks.
    """
    missing: dict[tuple[str, int], list[Point]] = {}
    for point in points(store.settings):
        if not store.basis_path(point).exists():
            missing.setdefault((point.data, point.sample), []).append(point)
    return [(compute_bases, (store, data, sample, group)) for (data, sample), group in missing.items()]


def edit_tasks(store: Store) -> list[Task]:
    """The tasks that compute the edits that are missing, one for each sample and timestep.

    The tasks need the bases, so `basis_tasks` come first.

    Args:
        store: The cache of the study.

    Returns:
        The tasks.
    """
    settings = store.settings
    return [
        (compute_edits, (store, target, timestep))
        for timestep in (settings.early, settings.late)
        for target in range(settings.samples)
        if not store.edits_path(target, timestep).exists()
    ]


def compute_bases(store: Store, data: str, sample: int, group: list[Point]) -> None:
    """Compute bases of one sample, and save them.

    Args:
        store: The cache of the study.
        data: The model, a key of `MODELS`.
        sample: The number of the sample.
        group: The points of the bases, all of this sample.
    """
    model = faces.load_model(MODELS[data])
    way = trajectory(faces.FacesDenoiser(model), sample, store.settings)
    for point in group:
        denoiser = faces.FacesDenoiser(model, point.prompt, feature=point.feature)
        basis = local_basis(denoiser, way[point.timestep], point.rank, tolerance=store.settings.tolerance)
        basis.save(store.basis_path(point))


def compute_edits(store: Store, target: int, timestep: float) -> None:
    """Edit one sample along its own directions and along those of other samples, and save what changes.

    The result is {"own": [changes], "carried": [{"source", "direction", "alignment", "change"}]}. Changes are
    those of the attributes that the regressor reads, in standard deviations, from strength -1 to 1.

    Args:
        store: The cache of the study.
        target: The number of the sample.
        timestep: The timestep of the edits.
    """
    settings = store.settings
    own = store.basis(Point("faces", target, timestep, rank=settings.rank))
    directions, carried = list(own.v[: settings.directions]), []
    for source in others(target, settings):
        basis = store.basis(Point("faces", source, timestep, rank=settings.rank))
        for index in range(settings.directions):
            moved = parallel_transport(index, basis, own)
            directions.append(moved.direction)
            carried.append({"source": source, "direction": index, "alignment": moved.alignment})
    denoiser = faces.FacesDenoiser(faces.load_model())
    noisy = trajectory(denoiser, target, settings)[timestep]
    changes = _attribute_changes(denoiser, noisy, torch.stack(directions))
    for row, change in zip(carried, changes[settings.directions :]):
        row["change"] = change
    result: dict[str, Any] = {"own": changes[: settings.directions], "carried": carried}
    write_atomically(store.edits_path(target, timestep), json.dumps(result).encode())


def _attribute_changes(
    denoiser: faces.FacesDenoiser, noisy: NoisyLatent, directions: torch.Tensor
) -> list[list[float]]:
    """How the attributes change along each direction (d, c, h, w), from strength -1 to 1."""
    regressor = faces.load_regressor()
    edits = edit_grid(denoiser, noisy, directions, [-1.0, 1.0])
    images = faces.decode_latent(ddim.generate(denoiser, edits))
    readings = (regressor(images.clamp(-1, 1)) / regressor.deviation).unflatten(0, (-1, 2))
    return (readings[:, 1] - readings[:, 0]).tolist()


def others(target: int, settings: Settings) -> list[int]:
    """The samples whose directions are carried to `target`."""
    count = min(settings.sources, settings.samples - 1)
    return [(target + step) % settings.samples for step in range(1, count + 1)]


def trajectory(denoiser: faces.FacesDenoiser, sample: int, settings: Settings) -> dict[float, NoisyLatent]:
    """Generate a sample from noise, and keep it at every timestep of the study.

    Args:
        denoiser: The model.
        sample: The seed of the noise.
        settings: The size of the study.

    Returns:
        The noisy latent at each timestep.
    """
    sigmas = denoiser.schedule.sigmas(settings.steps)
    generator = torch.Generator().manual_seed(sample)
    x, reached, way = sigmas[0] * torch.randn(1, *faces.LATENT_SHAPE, generator=generator), 0, {}
    for timestep in reversed(settings.timesteps):
        index = settings.steps - settings.steps_to(timestep)
        if index > reached:
            x = ddim.generate(denoiser, NoisyLatent(x, sigmas[reached : index + 1]))
            reached = index
        way[timestep] = NoisyLatent(x, sigmas[index:])
    return way
