"""Which feature to read h at? What the basis of each costs at one noisy latent, how few directions it has, how straight its map is."""

import math
import time
from typing import NamedTuple

import torch

from .basis import require_latent
from .linalg.jacobian import Jacobian
from .linalg.precision import without_autocast
from .linalg.svd import top_singular_triplets
from .spectra import effective_rank

CHANGE = 0.1  # of the norm of h, by which the step changes it that the bend is measured with
PRODUCTS = 12  # of a loose search, at most, for each direction
REPEATS = 3  # of what is timed; the fastest counts, since other work can only slow it down
SHOWN = 8  # features, where none are named


class FeatureReport(NamedTuple):
    """What `explain_features` found out about one feature.

    shape: of h; s: (rank,) leading singular values, descending; residual: the largest of theirs; products: spent on them.
    effective_rank: `spectra.effective_rank` of s.
    bend: how far from straight the map is along the first direction, 0 for a linear one: the error of h(z) +- a J v_1 against
        h(z +- a v_1), relative to a J v_1, as the root mean square of both ways, for the step a with ||a J v_1|| = 0.1 ||h(z)||.
    reach: that step, as a part of ||z||. A short one says that little noise changes this feature.
    seconds_jvp, seconds_vjp: of one J v and one J^T u, without the forward pass that all J^T u share.
    seconds_denoise: of one evaluation of the whole model, `denoise`, in the same run. All times after a first, slower run.
    """

    feature: str
    shape: tuple
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
def explain_features(
    denoisers,
    z,
    sigma,
    rank=8,
    *,
    tolerance=0.05,
    max_products=None,
    seed=0,
    batch_size=None,
    offload=False,
    progress=None,
):
    """What speaks for and against each feature of one model, at one noisy latent.

    denoisers: one `Denoiser` for each feature, alike in everything else; `provenance["feature"]` names it.
    z: (c, h, w) or (1, c, h, w) in network coordinates (VP or flow) at noise level sigma.
    rank, tolerance, seed, batch_size, offload: as in `local_basis`; a loose tolerance is enough to compare by.
    max_products: None is 12 for each direction, converged or not.
    progress: called as progress(index of the feature, products, largest residual); an exception it raises ends the work.
    Returns a list of `FeatureReport`. Raises ValueError as `local_basis` does, and for a constant feature.
    """
    z = require_latent(z)
    reports, denoise = [], None
    for index, denoiser in enumerate(denoisers):
        denoiser.schedule.require_level(sigma)
        x = denoiser.schedule.from_network(z[None], sigma)
        with torch.no_grad():
            denoise = denoise or _seconds(lambda: denoiser.denoise(x, sigma))  # noqa: B023  called here and now
        show = progress and (lambda products, residual, index=index: progress(index, products, residual))
        jacobian = Jacobian(
            lambda points, one=denoiser: one.encode(points, sigma), z, batch_size=batch_size, offload=offload
        )
        search = {
            "tolerance": tolerance,
            "max_products": max_products or PRODUCTS * rank,
            "seed": seed,
            "progress": show,
        }
        reports.append(
            _explain(denoiser, jacobian, sigma, top_singular_triplets(jacobian, rank, **search), denoise)
        )
    return reports


def _explain(denoiser, jacobian, sigma, found, denoise):
    if not found.s[0] > 0:
        raise ValueError(
            f"The feature {denoiser.provenance['feature']!r} does not depend on the noisy latent; leave it out."
        )
    z, here = jacobian.x, jacobian.value
    v, u = found.v[:1].to(z), found.u[:1].to(z)
    column = jacobian.jvp(v)
    step = CHANGE * here.norm() / column.norm()
    with torch.no_grad():
        errors = [
            denoiser.encode(z + sign * step * v, sigma) - here - sign * step * column for sign in (1, -1)
        ]
    bend = torch.cat(errors).norm() / (math.sqrt(2) * step * column.norm())
    return FeatureReport(
        denoiser.provenance["feature"],
        jacobian.out_shape,
        found.s,
        found.residuals.max().item(),
        found.converged,
        effective_rank(found.s),
        bend.item(),
        (step / z.norm()).item(),
        found.products,
        _seconds(lambda: jacobian.jvp(v)),
        _seconds(lambda: jacobian.vjp(u)),
        denoise,
    )


def _seconds(work):
    """Of the fastest of some runs after a first one. Reading a number waits for a device that works in the background."""
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        work().flatten()[0].item()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def spread(names, kept, count=SHOWN):
    """At most `count` of a list of names, evenly over it from the first to the last, and `kept` among them, in their order."""
    if len(names) <= count:
        return list(names)
    places = {round(index * (len(names) - 1) / (count - 1)) for index in range(count)}
    place = names.index(kept)
    if place not in places:
        places.remove(min(places, key=lambda other: abs(other - place)))
    return [names[index] for index in sorted(places | {place})]


def explain_table(reports):
    """`FeatureReport`s as lines of text, in columns of one width. A star marks a search that ended before it converged."""
    last = f"s_{len(reports[0].s)}/s_1"
    rows = [("feature", "h", "s_1", last, "eff. rank", "bend", "reach", "products", "J v", "J^T u")]
    for one in reports:
        times = (
            f"{1e3 * seconds:.3g} ms ({seconds / one.seconds_denoise:.1f}x)"
            for seconds in (one.seconds_jvp, one.seconds_vjp)
        )
        rows.append(
            (
                one.feature,
                "x".join(map(str, one.shape)),
                f"{one.s[0]:.3g}",
                f"{one.s[-1] / one.s[0]:.2f}",
                f"{one.effective_rank:.1f}",
                f"{one.bend:.2f}",
                f"{100 * one.reach:.2g}%",
                f"{one.products}{'' if one.converged else '*'}",
                *times,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    ]
    notes = [f"x: in evaluations of the whole model, {1e3 * reports[0].seconds_denoise:.3g} ms each"]
    if not all(one.converged for one in reports):
        notes.append(f"*: ended early, errors up to {max(one.residual for one in reports):.1g} of s_1")
    return "\n".join([*lines, "", *notes])
