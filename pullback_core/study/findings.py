"""What the measurements say of each claim of the paper: a number with its interval, a figure, a table.

A claim holds here if the 95% bootstrap interval of its number lies on the claimed side, is contradicted if it lies
on the other side, and is undecided if it reaches over both. Samples are resampled, not pairs of them.
"""

import itertools
from typing import NamedTuple

import numpy as np
import torch

from .. import faces, figures, spectra
from ..linalg import subspaces
from .measure import MODELS, Point

RESAMPLES = 1000
BLUE, ORANGE, GREY = "#3b6ea5", "#c8642c", "#9a9aa2"
RISING = ("#1f3a5f", BLUE, "#7fb0d8", ORANGE)  # colours of `Settings.some`


class Finding(NamedTuple):
    """number: (value, low, high); sign: +1 or -1, the side that supports the claim, relative to `neutral`."""

    name: str
    title: str
    claim: str
    measure: str
    number: tuple
    sign: int
    neutral: float
    remarks: str
    figure: object  # a Pillow image
    table: list  # of dicts, the rows of the CSV file

    @property
    def verdict(self):
        return _verdict(self.number, self.sign, self.neutral)

    @property
    def shown(self):
        """The number in a page: value and interval."""
        return _brief(self.number)


def _verdict(number, sign, neutral):
    """What an interval says. A bound that is not a number lies on neither side."""
    _, *ends = (sign * (value - neutral) for value in number)
    if all(end > 0 for end in ends):
        return "holds"
    return "is contradicted" if all(end < 0 for end in ends) else "is undecided"


def _brief(number):
    return f"{number[0]:.2f} [{number[1]:.2f}, {number[2]:.2f}]"


def all_findings(store):
    settings = store.settings
    bases = {
        data: {
            timestep: [
                store.basis(Point(data, sample, timestep, rank=settings.rank))
                for sample in range(settings.samples)
            ]
            for timestep in settings.timesteps
        }
        for data in MODELS
    }
    matrices = {data: _distances(by_timestep) for data, by_timestep in bases.items()}
    carried = {timestep: _carried(store, timestep) for timestep in (settings.early, settings.late)}
    return [
        spectrum(store),
        frequencies(settings, bases["faces"]),
        between_samples(settings, bases["faces"], matrices["faces"]),
        between_timesteps(settings, bases["faces"]),
        complexity(settings, matrices),
        prompts(store),
        prompts_over_time(store),
        transport_over_time(settings, carried),
        transport_alignment(settings, carried),
        blocks(store),
    ]


# ---- statistics ----


def interval(count, statistic, seed=0):
    """(value, low, high) of statistic(indices of samples), by resampling `count` samples."""
    resamples = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    low, high = np.nanquantile([statistic(indices) for indices in resamples], (0.025, 0.975))
    return float(statistic(np.arange(count))), float(low), float(high)


def pair_mean(distances, indices):
    """The mean distance of different samples, among samples drawn with repetition; not a number where all are one."""
    chosen = distances[np.ix_(indices, indices)]
    return chosen[indices[:, None] != indices[None, :]].mean() if len(set(indices)) > 1 else np.nan


def rank_correlation(rows, columns):
    from scipy.stats import spearmanr  # slow to import

    return spearmanr(np.ravel(rows), np.ravel(columns)).statistic


def _axes(title, xlabel, ylabel, **settings):
    figure, axes = figures.empty_plot(xlabel, ylabel, title)
    figure.set_size_inches(6.4, 4)
    axes.set(**settings)
    return figure, axes


def _band(axes, x, numbers, color, label=None):
    """A curve with its interval. numbers: a (value, low, high) for each x."""
    value, low, high = np.transpose(numbers)
    axes.plot(x, value, "o-", color=color, label=label)
    axes.fill_between(x, low, high, color=color, alpha=0.2)


def _distances(bases, side="h"):
    """timestep -> (samples, samples) distances, from timestep -> bases."""
    return {
        timestep: subspaces.distance_matrix(some, side=side).numpy() for timestep, some in bases.items()
    }


def _mean_distances(matrices, samples):
    """timestep -> (value, low, high) of the mean distance between samples."""
    return {
        t: interval(samples, lambda indices, matrix=matrix: pair_mean(matrix, indices))
        for t, matrix in matrices.items()
    }


def _rows(numbers, **where):
    """Rows of a table from timestep -> (value, low, high)."""
    return [
        {**where, "timestep": t, "distance": number[0], "low": number[1], "high": number[2]}
        for t, number in numbers.items()
    ]


# ---- the findings ----


def spectrum(store):
    settings, rows = store.settings, []
    figure, axes = _axes("Singular values of the Jacobian", "direction", "s / s_1", yscale="log")
    shares = []
    for timestep, color in zip(settings.some, RISING):
        values = (
            torch.stack(
                [
                    store.basis(Point("faces", sample, timestep, rank=settings.deep_rank)).s
                    for sample in range(settings.few)
                ]
            )
            .double()
            .numpy()
        )
        shares.append((values**2)[:, : settings.deep_rank // 4].sum(axis=1) / (values**2).sum(axis=1))
        relative = values / values[:, :1]
        axes.plot(
            range(1, settings.deep_rank + 1),
            np.exp(np.log(relative).mean(axis=0)),
            color=color,
            label=f"{timestep:g} T",
        )
        for sample, row in enumerate(values):
            rows.append(
                {
                    "sample": sample,
                    "timestep": timestep,
                    "effective_rank": spectra.effective_rank(torch.from_numpy(row)),
                    **{f"s_{index}": value for index, value in enumerate(row, 1)},
                }
            )
    axes.legend(frameon=False)
    share = np.mean(shares, axis=0)
    number = interval(settings.few, lambda indices: share[indices].mean())
    ranks = np.mean([row["effective_rank"] for row in rows])
    return Finding(
        "spectrum",
        "Few directions dominate",
        "The singular values fall quickly: few directions dominate.",
        f"share of the squared singular values, of the first {settings.deep_rank}, that belongs to the first {settings.deep_rank // 4}",
        number,
        +1,
        0.5,
        f"Equal values would give 0.25. The effective rank of the first {settings.deep_rank} is {ranks:.1f} on average.",
        figures.figure_to_pil(figure),
        rows,
    )


def frequencies(settings, bases):
    means = np.array(
        [
            [
                spectra.mean_frequency(faces.decode_latent(bases[timestep][sample].v)).mean().item()
                for timestep in settings.timesteps
            ]
            for sample in range(settings.samples)
        ]
    )
    figure, axes = _axes(
        "Frequencies of the directions", "cycles per picture", "power, relative to its mean", yscale="log"
    )
    for timestep, color in zip(settings.some, RISING):
        pictures = torch.cat([faces.decode_latent(basis.v) for basis in bases[timestep]])
        at, power = spectra.power_spectrum(pictures)
        power = power.mean(dim=0)
        axes.plot(at, power / power.mean(), "o-", ms=3, color=color, label=f"{timestep:g} T")
    axes.legend(frameon=False)
    timesteps = np.broadcast_to(settings.timesteps, means.shape)
    number = interval(settings.samples, lambda indices: rank_correlation(timesteps[indices], means[indices]))
    rows = [
        {"sample": sample, "timestep": timestep, "mean_frequency": means[sample, column]}
        for sample in range(settings.samples)
        for column, timestep in enumerate(settings.timesteps)
    ]
    ends = ", ".join(
        f"{value:.1f} at {timestep:g} T" for timestep, value in zip(settings.timesteps, means.mean(axis=0))
    )
    return Finding(
        "frequencies",
        "From coarse to fine",
        "Near T directions are of low frequency; the frequency rises as t falls.",
        "rank correlation of timestep and mean frequency of the directions, over samples and timesteps",
        number,
        -1,
        0.0,
        f"Mean frequency in cycles per picture: {ends}.",
        figures.figure_to_pil(figure),
        rows,
    )


def between_samples(settings, bases, matrices):
    figure, axes = _axes(
        "Distance between the tangent spaces of different samples", "timestep / T", "geodesic distance"
    )
    rows, ends = [], {}
    for space, by_timestep, color, name in (
        ("h", matrices, BLUE, "in feature space"),
        ("x", _distances(bases, "x"), ORANGE, "in latent space"),
    ):
        means = _mean_distances(by_timestep, settings.samples)
        _band(axes, settings.timesteps, list(means.values()), color, name)
        rows += _rows(means, space=space)
        first, last = by_timestep[settings.timesteps[0]], by_timestep[settings.timesteps[-1]]
        ends[space] = interval(
            settings.samples, lambda indices, a=last, b=first: pair_mean(a, indices) - pair_mean(b, indices)
        )
    chance = _chance(settings.rank, bases[settings.timesteps[0]][0].u[0].numel())
    axes.axhline(chance, color=GREY, ls="--", label="random subspaces of feature space")
    axes.legend(frameon=False)
    return Finding(
        "samples",
        "Samples share directions near T",
        "Tangent spaces of different samples are alike near T and part as t falls.",
        f"mean distance at {settings.timesteps[-1]:g} T less mean distance at {settings.timesteps[0]:g} T, in feature space",
        ends["h"],
        -1,
        0.0,
        f"In latent space the same difference is {_brief(ends['x'])}: there the claim {_verdict(ends['x'], -1, 0.0)}. Random subspaces of "
        f"feature space are {chance:.2f} apart.",
        figures.figure_to_pil(figure),
        rows,
    )


def between_timesteps(settings, bases):
    distances = np.array(
        [
            subspaces.distance_matrix([bases[t][sample] for t in settings.timesteps]).numpy()
            for sample in range(settings.samples)
        ]
    )
    upper = np.triu_indices(len(settings.timesteps), 1)
    gaps = np.abs(np.subtract.outer(settings.timesteps, settings.timesteps))[upper]
    values = distances[:, upper[0], upper[1]]
    tiled = np.broadcast_to(gaps, values.shape)
    number = interval(settings.samples, lambda indices: rank_correlation(tiled[indices], values[indices]))
    names = [f"{t:g} T" for t in settings.timesteps]
    figure = figures.heat_map(
        distances.mean(axis=0), names, names, "One sample at two timesteps", "geodesic distance"
    )
    rows = [
        {
            "timestep": settings.timesteps[a],
            "other": settings.timesteps[b],
            "distance": distances[:, a, b].mean(),
        }
        for a, b in zip(*upper)
    ]
    return Finding(
        "timesteps",
        "Distant timesteps, distant spaces",
        "The distance between one sample's tangent spaces grows with the gap in time.",
        "rank correlation of gap and distance, over samples and pairs of timesteps",
        number,
        +1,
        0.0,
        f"From {values[:, gaps == gaps.min()].mean():.2f} at the smallest gap to {values[:, gaps == gaps.max()].mean():.2f} at the "
        "largest.",
        figure,
        rows,
    )


def complexity(settings, matrices):
    figure, axes = _axes("Distance between samples, of two data sets", "timestep / T", "geodesic distance")
    rows = []
    for data, color in zip(matrices, (BLUE, ORANGE)):
        means = _mean_distances(matrices[data], settings.samples)
        _band(
            axes,
            settings.timesteps,
            list(means.values()),
            color,
            f"{data} ({len(faces.DATA[data])} attributes vary)",
        )
        rows += _rows(means, data=data)
    axes.legend(frameon=False)

    # Samples of one seed start from the same noise in both models, so they are resampled together.
    def difference(indices):
        rich, simple = matrices.values()
        return np.mean(
            [pair_mean(simple[t], indices) - pair_mean(rich[t], indices) for t in settings.timesteps]
        )

    return Finding(
        "complexity",
        "Simpler data, more alike",
        "The simpler the data, the more alike the tangent spaces of its samples.",
        "mean distance between samples of the simple data less that of the rich data, over all timesteps",
        interval(settings.samples, difference),
        -1,
        0.0,
        "The simple data are expressions of one person; their model is the model of all faces, trained on.",
        figures.figure_to_pil(figure),
        rows,
    )


def _prompt_similarity(settings):
    """Cosine of the words' embeddings, without what the empty prompt has: (pairs,) for all pairs of prompts that say something."""
    said = [prompt for prompt in settings.prompts if prompt]
    model = faces.load_model()
    words = (model.context(said) - model.context([""])).flatten(1)
    cosines = torch.nn.functional.cosine_similarity(words[:, None], words[None], dim=-1).numpy()
    return said, cosines


def _prompt_distances(store, said, timestep):
    """(few, prompts, prompts) of one x_t each."""
    settings = store.settings
    return np.array(
        [
            subspaces.distance_matrix(
                [store.basis(Point("faces", sample, timestep, prompt, rank=settings.rank)) for prompt in said]
            ).numpy()
            for sample in range(settings.few)
        ]
    )


def prompts(store):
    settings = store.settings
    said, similarity = _prompt_similarity(settings)
    upper = np.triu_indices(len(said), 1)
    at = settings.early
    values = _prompt_distances(store, said, at)[:, upper[0], upper[1]]
    alike = np.broadcast_to(similarity[upper], values.shape)
    number = interval(settings.few, lambda indices: rank_correlation(alike[indices], values[indices]))
    figure, axes = _axes(
        f"Two prompts, one x_t at {at:g} T", "similarity of the prompts", "geodesic distance"
    )
    axes.plot(similarity[upper], values.mean(axis=0), "o", color=BLUE)
    rows = [
        {
            "prompt": said[a],
            "other": said[b],
            "similarity": similarity[a, b],
            "distance": values[:, column].mean(),
        }
        for column, (a, b) in enumerate(zip(*upper))
    ]
    return Finding(
        "prompts",
        "Similar prompts, similar spaces",
        "The more alike two prompts, the nearer the tangent spaces of one x_t given them.",
        f"rank correlation of the prompts' similarity (cosine of embeddings) and the distance at {at:g} T",
        number,
        -1,
        0.0,
        "",
        figures.figure_to_pil(figure),
        rows,
    )


def prompts_over_time(store):
    settings = store.settings
    some, said = settings.some, [prompt for prompt in settings.prompts if prompt]
    upper = np.triu_indices(len(said), 1)
    values = np.stack(
        [_prompt_distances(store, said, t)[:, upper[0], upper[1]].mean(axis=1) for t in some], axis=1
    )
    figure, axes = _axes("What a prompt changes", "timestep / T", "mean geodesic distance between prompts")
    means = [
        interval(settings.few, lambda indices, column=column: values[indices, column].mean())
        for column in range(len(some))
    ]
    _band(axes, some, means, BLUE)
    number = interval(settings.few, lambda indices: (values[indices, 2] - values[indices, 0]).mean())
    rows = [
        {"sample": sample, "timestep": t, "distance": values[sample, column]}
        for sample in range(settings.few)
        for column, t in enumerate(some)
    ]
    return Finding(
        "prompts_over_time",
        "Prompts fade",
        "What the prompt changes about the tangent space fades as t falls.",
        f"mean distance between prompts at {some[2]:g} T less that at {some[0]:g} T",
        number,
        +1,
        0.0,
        "",
        figures.figure_to_pil(figure),
        rows,
    )


def _carried(store, timestep):
    """Every direction that was carried over at one timestep, and whether it made the same change."""
    settings, rows = store.settings, []
    edits = [store.edits(target, timestep) for target in range(settings.samples)]
    for target, edit in enumerate(edits):
        for row in edit["carried"]:
            own, change = np.array(edits[row["source"]]["own"][row["direction"]]), np.array(row["change"])
            cosine = float(own @ change / (np.linalg.norm(own) * np.linalg.norm(change)))
            rows.append(
                {
                    "timestep": timestep,
                    "source": row["source"],
                    "target": target,
                    "direction": row["direction"] + 1,
                    "alignment": row["alignment"],
                    "success": cosine,
                }
            )
    return rows


def _over_targets(rows, statistic, samples):
    """(value, low, high) of statistic(alignment, success), resampling targets."""
    columns = np.array([(row["target"], row["alignment"], row["success"]) for row in rows])
    members = [columns[columns[:, 0] == target, 1:] for target in range(samples)]

    def of(indices):
        return statistic(*np.concatenate([members[index] for index in indices]).T)

    return interval(samples, of)


def transport_alignment(settings, carried):
    early, late = carried[settings.early], carried[settings.late]
    rows = early + late
    figure, axes = _axes("Carried over: the same change?", "alignment", "cosine of the changes of attributes")
    for part, color, name in ((early, BLUE, "early"), (late, ORANGE, "late")):
        axes.plot(
            [row["alignment"] for row in part],
            [row["success"] for row in part],
            "o",
            ms=3,
            alpha=0.5,
            color=color,
            label=f"{name}, {part[0]['timestep']:g} T",
        )
    axes.axhline(0, color=GREY, ls="--")
    axes.legend(frameon=False)
    best = np.quantile([row["alignment"] for row in rows], 0.9)
    success = np.mean([row["success"] for row in rows if row["alignment"] >= best])
    return Finding(
        "transport_alignment",
        "Alignment foretells success",
        "A direction carried to another sample makes the same change there if its alignment is high.",
        f"rank correlation of alignment and success over {len(rows)} carried directions; success is the cosine of the changes of "
        f"{len(faces.NAMES)} attributes, as the regressor reads them, in source and target",
        _over_targets(rows, rank_correlation, settings.samples),
        +1,
        0.0,
        f"In the tenth with the best alignment (from {best:.2f}) the mean success is {success:.2f}. Chance is 0, the same change 1.",
        figures.figure_to_pil(figure),
        rows,
    )


def transport_over_time(settings, carried):
    rows, successes, alignments = [], {}, {}
    for timestep, part in carried.items():
        successes[timestep] = _over_targets(part, lambda alignment, success: success.mean(), settings.samples)
        alignments[timestep] = _over_targets(
            part, lambda alignment, success: alignment.mean(), settings.samples
        )
        rows += [
            {"timestep": timestep, "of": name, "mean": number[0], "low": number[1], "high": number[2]}
            for name, number in (("success", successes[timestep]), ("alignment", alignments[timestep]))
        ]
    figure, axes = _axes("Directions carried to other samples", "", "mean", xlim=(-0.5, 1.5))
    for numbers, color, name in ((successes, BLUE, "success"), (alignments, ORANGE, "alignment")):
        value, low, high = np.transpose(list(numbers.values()))
        axes.errorbar(
            range(2), value, (value - low, high - value), fmt="o", color=color, capsize=4, label=name
        )
    axes.axhline(0, color=GREY, ls="--")
    axes.set_xticks(range(2), [f"{timestep:g} T" for timestep in successes])
    axes.legend(frameon=False)
    return Finding(
        "transport_over_time",
        "Directions carry over near T",
        "Near T a direction carried to another sample makes the same change there.",
        f"mean success at {settings.early:g} T",
        successes[settings.early],
        +1,
        0.0,
        f"At {settings.late:g} T it is {_brief(successes[settings.late])}. Chance is 0, the same change 1. The mean alignment is "
        f"{_brief(alignments[settings.early])} at {settings.early:g} T and {_brief(alignments[settings.late])} at {settings.late:g} T.",
        figures.figure_to_pil(figure),
        rows,
    )


def blocks(store):
    settings = store.settings
    features = settings.features
    pairs = list(itertools.combinations(range(len(features)), 2))
    matrices = np.array(
        [
            [
                subspaces.distance_matrix(
                    [
                        store.basis(Point("faces", sample, t, feature=feature, rank=settings.rank))
                        for feature in features
                    ],
                    side="x",
                ).numpy()
                for t in settings.some
            ]
            for sample in range(settings.few)
        ]
    )
    mean = matrices.mean(axis=(0, 1))
    chance = _chance(
        settings.rank, store.basis(Point("faces", 0, settings.early, rank=settings.rank)).v[0].numel()
    )
    figure = figures.heat_map(
        mean, features, features, "Distance between blocks, in latent space", "geodesic distance"
    )
    values = np.stack([matrices[:, :, a, b].mean(axis=1) for a, b in pairs], axis=1)
    gaps = np.broadcast_to([b - a for a, b in pairs], values.shape)
    number = interval(settings.few, lambda indices: rank_correlation(gaps[indices], values[indices]))
    return Finding(
        "blocks",
        "Neighbouring blocks agree",
        "Not of the paper: blocks that follow each other in the UNet find similar directions.",
        "rank correlation of the distance between two blocks within the UNet and the distance of their bases in latent space",
        number,
        +1,
        0.0,
        f"Random subspaces of latent space are {chance:.2f} apart.",
        figure,
        [{"block": features[a], "other": features[b], "distance": mean[a, b]} for a, b in pairs],
    )


def _chance(rank, dimension, pairs=20):
    """The mean distance of two random subspaces."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda: (
        torch.linalg.qr(torch.randn(dimension, rank, generator=generator, dtype=torch.float64))[0].T
    )
    return float(np.mean([subspaces.geodesic_distance(draw(), draw()) for _ in range(pairs)]))
