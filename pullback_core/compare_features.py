"""Which feature should be read as h? Compare what the basis of each costs and what it promises."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch

from .linalg.jacobian import Jacobian
from .linalg.precision import without_autocast
from .linalg.svd import SingularTriplets, top_singular_triplets
from .local_basis import feature_jacobian
from .models.denoiser import Denoiser
from .noisy import NoisyLatent
from .spectra import effective_rank

CHANGE = 0.1  # the bend is measured with a step that changes h by this share of its norm
PRODUCTS = 12  # products of a loose search, at most, for each direction
REPEATS = 3  # runs of what is timed; the fastest counts, since other work can only slow it down
SHOWN = 8  # features that are compared where none are named


class FeatureReport(NamedTuple):
    """What `compare_features` found out about one feature.

    Attributes:
        feature: Its name.
        shape: The shape of h.
        s: (rank,) leading singular values, descending.
        residual: The largest residual of the triplets.
        converged: Whether the search converged.
        effective_rank: `spectra.effective_rank` of s.
        bend: How far the map is from linear along the first direction; 0 is linear. It is the error of
            h(z) +- a J v_1 against h(z +- a v_1), relative to a J v_1, as the root mean square of both signs,
            for the step a with ||a J v_1|| = 0.1 ||h(z)||.
        reach: The step a as a share of ||z||. A short one says that little noise changes this feature.
        products: Jacobian products that the search took.
        seconds_jvp: Time of one J v, without the forward pass that all products share.
        seconds_vjp: Time of one J^T u, likewise.
        seconds_denoise: Time of one `denoise` of the whole model, in the same run.
    """

    feature: str
    shape: tuple[int, ...]
    s: torch.Tensor
    residual: float
    converged: bool
    effective_rank: float
    bend: float
    reach: float
    products: int
    seconds_jvp: float
    seconds_vjp: float
    seconds_denoise: float


@without_autocast()
def compare_features(
    denoisers: Sequence[Denoiser],
    noisy: NoisyLatent,
    rank: int = 8,
    *,
    tolerance: float = 0.05,
    max_products: int | None = None,
    seed: int = 0,
    batch_size: int | None = None,
    offload: bool | None = None,
    progress: Callable[[int, int, float], object] | None = None,
) -> list[FeatureReport]:
    """Measure what speaks for and against each feature of one model, at one noisy latent.

    Args:
        denoisers: One for each feature, alike in everything else; `provenance["feature"]` names the feature.
        noisy: One noisy latent.
        rank: As in `local_basis`.
        tolerance: As in `local_basis`; a loose one is enough for a comparison.
        max_products: The search of one feature stops there; None is 12 for each direction.
        seed: As in `local_basis`.
        batch_size: As in `local_basis`.
        offload: As in `local_basis`.
        progress: Called as progress(index of the feature, products, largest residual). An exception that it
            raises ends the work.

    Returns:
        One report for each denoiser.

    Raises:
        ValueError: As in `local_basis`, or a feature does not depend on the noisy latent.
    """
    reports: list[FeatureReport] = []
    seconds_denoise = 0.0
    for index, denoiser in enumerate(denoisers):
        jacobian = feature_jacobian(denoiser, noisy, batch_size=batch_size, offload=offload)
        if not reports:
            seconds_denoise = _seconds_of_denoise(denoiser, noisy)
        triplets = top_singular_triplets(
            jacobian,
            rank,
            tolerance=tolerance,
            max_products=max_products or PRODUCTS * rank,
            seed=seed,
            progress=None if progress is None else partial(progress, index),
        )
        reports.append(_report(denoiser, noisy.sigma, jacobian, triplets, seconds_denoise))
    return reports


def _report(
    denoiser: Denoiser, sigma: float, jacobian: Jacobian, triplets: SingularTriplets, seconds_denoise: float
) -> FeatureReport:
    feature = denoiser.provenance["feature"]
    if not triplets.s[0] > 0:
        raise ValueError(f"The feature {feature!r} does not depend on the noisy latent; leave it out.")
    v, u = triplets.v[:1].to(jacobian.x), triplets.u[:1].to(jacobian.x)
    bend, step = _bend(denoiser, sigma, jacobian, v)
    return FeatureReport(
        feature,
        jacobian.out_shape,
        triplets.s,
        triplets.residuals.max().item(),
        triplets.converged,
        effective_rank(triplets.s),
        bend,
        step / jacobian.x.norm().item(),
        triplets.products,
        _seconds(lambda: jacobian.jvp(v)),
        _seconds(lambda: jacobian.vjp(u)),
        seconds_denoise,
    )


@torch.no_grad()
def _bend(denoiser: Denoiser, sigma: float, jacobian: Jacobian, v: torch.Tensor) -> tuple[float, float]:
    """(bend, step): how far h is from linear along v (1, c, h, w), measured with this step."""
    z, h = jacobian.x, jacobian.value
    column = jacobian.jvp(v)
    step = CHANGE * h.norm() / column.norm()
    errors = []
    for sign in (1, -1):
        x = denoiser.schedule.from_network(z + sign * step * v, sigma)
        errors.append(denoiser.encode(x, sigma) - h - sign * step * column)
    bend = torch.cat(errors).norm() / (math.sqrt(2) * step * column.norm())
    return bend.item(), step.item()


@torch.no_grad()
def _seconds_of_denoise(denoiser: Denoiser, noisy: NoisyLatent) -> float:
    return _seconds(lambda: denoiser.denoise(noisy.x, noisy.sigma))


def _seconds(work: Callable[[], torch.Tensor]) -> float:
    """The time of the fastest of some runs. The first run is slower and does not count."""
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        work().flatten()[0].item()  # reading a number waits for a device that works in the background
        times.append(time.perf_counter() - start)
    return min(times[1:])


def evenly_spread(names: Sequence[str], kept: str, count: int = SHOWN) -> list[str]:
    """Choose names evenly from a list, from the first to the last.

    Args:
        names: All names, in order.
        kept: One of them that must be among the chosen ones.
        count: How many to choose, at most.

    Returns:
        The chosen names, in their order.
    """
    if len(names) <= count:
        return list(names)
    places = {round(index * (len(names) - 1) / (count - 1)) for index in range(count)}
    place = names.index(kept)
    if place not in places:
        places.remove(min(places, key=lambda other: abs(other - place)))
    return [names[index] for index in sorted(places | {place})]


def feature_table(reports: Sequence[FeatureReport]) -> str:
    """Reports as lines of text, in columns of one width.

    Args:
        reports: At least one `FeatureReport`, all of one rank.

    Returns:
        The table. A star marks a search that ended before it converged.
    """
    last = f"s_{len(reports[0].s)}/s_1"
    rows = [("feature", "h", "s_1", last, "eff. rank", "bend", "reach", "products", "J v", "J^T u")]
    rows += [_row(report) for report in reports]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths)]
        cells[:2] = [cell.ljust(width) for cell, width in zip(row[:2], widths)]
        lines.append("  ".join(cells))
    notes = [f"x: in evaluations of the whole model, {1e3 * reports[0].seconds_denoise:.3g} ms each"]
    if not all(report.converged for report in reports):
        notes.append(f"*: ended early, errors up to {max(report.residual for report in reports):.1g} of s_1")
    return "\n".join([*lines, "", *notes])


def _row(report: FeatureReport) -> tuple[str, ...]:
    return (
        report.feature,
        "x".join(map(str, report.shape)),
        f"{report.s[0]:.3g}",
        f"{report.s[-1] / report.s[0]:.2f}",
        f"{report.effective_rank:.1f}",
        f"{report.bend:.2f}",
        f"{100 * report.reach:.2g}%",
        f"{report.products}{'' if report.converged else '*'}",
        _time(report.seconds_jvp, report),
        _time(report.seconds_vjp, report),
    )


def _time(seconds: float, report: FeatureReport) -> str:
    return f"{1e3 * seconds:.3g} ms ({seconds / report.seconds_denoise:.1f}x)"
