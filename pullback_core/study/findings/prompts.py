"""Claims: similar prompts have similar tangent spaces, and prompts fade as t falls."""

import numpy as np
import torch

from ... import faces, figures
from ...linalg import subspaces
from ..settings import Point
from ..store import Store
from .drawing import BLUE, draw_band, empty_figure
from .finding import Finding
from .statistics import bootstrap_mean, bootstrap_rank_correlation, pairs, upper_triangle


def prompts(store: Store) -> Finding:
    """How the distance between two prompts depends on their similarity."""
    timestep, names = store.settings.early, store.settings.nonempty_prompts
    similarity = upper_triangle(_prompt_similarity(names))
    distances = upper_triangle(_prompt_distances(store, timestep))
    means = distances.mean(axis=0)
    figure, axes = empty_figure(
        f"Two prompts, one x_t at {timestep:g} T", "similarity of the prompts", "geodesic distance"
    )
    axes.plot(similarity, means, "o", color=BLUE)
    return Finding(
        name="prompts",
        title="Similar prompts, similar spaces",
        claim="The more alike two prompts, the nearer the tangent spaces of one x_t given them.",
        measure="rank correlation of the prompts' similarity (cosine of embeddings) and the distance at "
        f"{timestep:g} T",
        number=bootstrap_rank_correlation(np.broadcast_to(similarity, distances.shape), distances),
        sign=-1,
        neutral=0.0,
        remarks="",
        figure=figures.figure_to_pil(figure),
        table=[
            {"prompt": one, "other": other, "similarity": cosine, "distance": distance}
            for (one, other), cosine, distance in zip(pairs(names), similarity, means)
        ],
    )


def prompts_over_time(store: Store) -> Finding:
    """How the distance between prompts changes from early to the first timestep."""
    settings, timesteps = store.settings, store.settings.four_timesteps
    distances = np.stack(
        [upper_triangle(_prompt_distances(store, timestep)).mean(axis=1) for timestep in timesteps], axis=1
    )
    figure, axes = empty_figure(
        "What a prompt changes", "timestep / T", "mean geodesic distance between prompts"
    )
    draw_band(axes, timesteps, [bootstrap_mean(column) for column in distances.T], BLUE)
    first, early = timesteps[0], timesteps[2]
    return Finding(
        name="prompts_over_time",
        title="Prompts fade",
        claim="What the prompt changes about the tangent space fades as t falls.",
        measure=f"mean distance between prompts at {early:g} T less that at {first:g} T",
        number=bootstrap_mean(distances[:, 2] - distances[:, 0]),
        sign=+1,
        neutral=0.0,
        remarks="",
        figure=figures.figure_to_pil(figure),
        table=[
            {"sample": sample, "timestep": timestep, "distance": distances[sample, column]}
            for sample in range(settings.few)
            for column, timestep in enumerate(timesteps)
        ],
    )


def _prompt_similarity(names: list[str]) -> np.ndarray:
    """(prompts, prompts) cosines of the words' embeddings, after those of the empty prompt are subtracted."""
    model = faces.load_model()
    words = (model.context(names) - model.context([""])).flatten(1)
    return torch.nn.functional.cosine_similarity(words[:, None], words[None], dim=-1).numpy()


def _prompt_distances(store: Store, timestep: float) -> np.ndarray:
    """(few, prompts, prompts) distances between the bases of one x_t."""
    settings = store.settings
    matrices = []
    for sample in range(settings.few):
        bases = [
            store.basis(Point("faces", sample, timestep, prompt, rank=settings.rank))
            for prompt in settings.nonempty_prompts
        ]
        matrices.append(subspaces.distance_matrix(bases).numpy())
    return np.array(matrices)
