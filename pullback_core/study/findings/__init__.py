"""What the measurements say of each claim of the paper. A file has one claim, or two that share numbers.

A claim holds here if the 95% bootstrap interval of its number lies on the claimed side. It is contradicted
if the interval lies on the other side, and undecided if the interval reaches over both sides. The bootstrap
resamples samples, not pairs of samples.
"""

from ..settings import MODELS, Point
from ..store import Store
from .blocks import blocks
from .complexity import complexity
from .finding import Finding, Interval
from .frequencies import frequencies
from .prompts import prompts, prompts_over_time
from .samples import between_samples
from .spectrum import spectrum
from .statistics import distances_over_time
from .timesteps import between_timesteps
from .transport import carried_edits, transport_alignment, transport_over_time

__all__ = ["Finding", "Interval", "all_findings"]


def all_findings(store: Store) -> list[Finding]:
    """Compute all findings of a study.

    Args:
        store: The cache, with everything that the study measures.

    Returns:
        The findings, in the order of the page.
    """
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
    matrices = {data: distances_over_time(by_timestep) for data, by_timestep in bases.items()}
    carried = {timestep: carried_edits(store, timestep) for timestep in (settings.early, settings.late)}
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
