"""The style that the figures of the findings share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import figures
from .finding import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#3b6ea5", "#c8642c", "#9a9aa2"
RISING = ("#1f3a5f", BLUE, "#7fb0d8", ORANGE)  # the colours of `Settings.four_timesteps`


def empty_figure(title: str, x_label: str, y_label: str, **settings: Any) -> tuple["Figure", "Axes"]:
    """Make an empty plot.

    Args:
        title: The title.
        x_label: The label of the horizontal axis.
        y_label: The label of the vertical axis.
        **settings: Properties of the axes, such as yscale.

    Returns:
        The matplotlib figure, and its axes.
    """
    figure, axes = figures.empty_plot(x_label, y_label, title)
    figure.set_size_inches(6.4, 4)
    axes.set(**settings)
    return figure, axes


def draw_band(
    axes: "Axes", x: Sequence[float], numbers: Sequence[Interval], color: str, label: str | None = None
) -> None:
    """Draw a curve and its intervals.

    Args:
        axes: Where to draw.
        x: The positions.
        numbers: The number at each position.
        color: The colour.
        label: The entry in the legend.
    """
    value, low, high = np.transpose(numbers)
    axes.plot(x, value, "o-", color=color, label=label)
    axes.fill_between(x, low, high, color=color, alpha=0.2)
