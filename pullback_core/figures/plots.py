"""Plots, drawn by matplotlib. matplotlib is imported only when a plot is drawn, because that takes time."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from PIL.Image import Image as Picture

from ..basis import PullbackBasis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE = "#3b6ea5"
NO_DISTANCE = "#e4e4e0"  # the colour of zeros in a heat map
MAX_NUMBERED_COLUMNS = 12  # a heat map with more columns has no room for numbers
MAX_LEGEND_ENTRIES = 16


class MissingMatplotlib(ImportError):
    """matplotlib cannot be imported, so a plot cannot be drawn. The message says what to install."""


def require_matplotlib() -> None:
    """Check that plots can be drawn. Contact sheets do not need this.

    Raises:
        MissingMatplotlib: matplotlib cannot be imported.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise MissingMatplotlib(
            f"Plots need matplotlib, and it cannot be imported ({error}); "
            "install it with: python -m pip install matplotlib."
        ) from error


def singular_value_plot(basis: PullbackBasis, title: str = "Singular values") -> Picture:
    """Plot the singular values of a basis, with a band of the size of their residuals.

    Args:
        basis: The basis.
        title: The title of the plot.

    Returns:
        The plot, a Pillow image.

    Raises:
        MissingMatplotlib: matplotlib cannot be imported.
    """
    figure, axes = empty_plot("direction", "singular value", title)
    number = range(1, basis.rank + 1)
    low, high = basis.s * (1 - basis.residuals), basis.s * (1 + basis.residuals)
    axes.plot(number, basis.s.cpu(), "o-", color=BLUE)
    axes.fill_between(number, low.cpu(), high.cpu(), alpha=0.2)
    axes.set(ylim=(0, None))
    _tick_whole_numbers(axes)
    return figure_to_pil(figure)


def heat_map(
    matrix: torch.Tensor | np.ndarray,
    rows: Sequence[object],
    columns: Sequence[object],
    title: str = "",
    label: str = "",
) -> Picture:
    """Show a matrix of numbers as colours. Up to twelve columns also show the numbers.

    Zeros are the distances of things to themselves, so they are grey. The colours begin at the smallest
    number above zero, so that the other numbers can be told apart.

    Args:
        matrix: (n, m) numbers, none below 0.
        rows: The names of the n rows.
        columns: The names of the m columns.
        title: The title of the plot.
        label: What the numbers are, beside the colour bar.

    Returns:
        The plot, a Pillow image.

    Raises:
        MissingMatplotlib: matplotlib cannot be imported.
    """
    require_matplotlib()
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    matrix = torch.as_tensor(matrix).cpu()
    width, height = (max(1.8, 0.55 * count) for count in (len(columns), len(rows)))
    figure = Figure(figsize=(width + 2.6, height + 1.3), dpi=120, layout="constrained")
    axes = figure.subplots()
    bottom, top = _colour_range(matrix)
    colour_map = colormaps["viridis"].with_extremes(under=NO_DISTANCE)
    colours = axes.imshow(matrix.numpy(), cmap=colour_map, vmin=bottom, vmax=top)
    axes.set_xticks(
        range(len(columns)), [str(name) for name in columns], rotation=45, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(rows)), [str(name) for name in rows])
    axes.set_title(title)
    axes.spines[:].set_visible(False)
    if len(columns) <= MAX_NUMBERED_COLUMNS:
        _write_numbers(axes, matrix, bottom, top)
    figure.colorbar(colours, label=label)
    return figure_to_pil(figure)


def _colour_range(matrix: torch.Tensor) -> tuple[float, float]:
    """The smallest and the largest number above zero, made different if they are equal."""
    positive = matrix[matrix > 0]
    if not len(positive):
        positive = torch.ones(1)
    bottom, top = positive.min().item(), positive.max().item()
    return (bottom if bottom < top else top / 2), top


def _write_numbers(axes: "Axes", matrix: torch.Tensor, bottom: float, top: float) -> None:
    for row, values in enumerate(matrix.tolist()):
        for column, value in enumerate(values):
            ink = "white" if bottom <= value < (bottom + top) / 2 else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=9, color=ink)


def angle_plot(curves: Sequence[tuple[str, torch.Tensor]], title: str = "Principal angles") -> Picture:
    """Plot the principal angles of pairs of subspaces.

    Args:
        curves: For each pair its name, and its angles (k,) in radians, ascending.
        title: The title of the plot.

    Returns:
        The plot, a Pillow image.

    Raises:
        MissingMatplotlib: matplotlib cannot be imported.
    """
    figure, axes = empty_plot("principal angle", "degrees", title)
    _draw_by_number(axes, [(name, torch.rad2deg(angles)) for name, angles in curves])
    axes.set(ylim=(0, 93), yticks=range(0, 91, 15))
    _tick_whole_numbers(axes)
    _add_legend(figure, axes)
    return figure_to_pil(figure)


def _draw_by_number(axes, curves):
    """Draw the values (k,) of each (name, values) over the numbers 1 to k."""
    for (name, values), colour in zip(curves, _colours(len(curves))):
        numbers = range(1, len(values) + 1)
        axes.plot(numbers, values.tolist(), "o-", ms=4, color=colour, label=name)


def decay_plot(
    curves: Sequence[tuple[str, torch.Tensor]], title: str = "Decay of the singular values"
) -> Picture:
    """Plot singular values as shares of the largest.

    Args:
        curves: For each curve its name, and its singular values (k,), descending.
        title: The title of the plot.

    Returns:
        The plot, a Pillow image.

    Raises:
        MissingMatplotlib: matplotlib cannot be imported.
    """
    figure, axes = empty_plot("direction", "singular value / first", title)
    _draw_by_number(axes, [(name, values / values[0]) for name, values in curves])
    axes.set(ylim=(0, 1.05))
    _tick_whole_numbers(axes)
    _add_legend(figure, axes)
    return figure_to_pil(figure)


def spectrum_plot(
    curves: Sequence[tuple[str, torch.Tensor, torch.Tensor]], title: str = "Frequency content"
) -> Picture:
    """Plot power over frequency. Both axes are logarithmic.

    Args:
        curves: For each curve its name, frequencies (n,) in cycles per picture and power (n,), as
            `spectra.power_spectrum` returns them.
        title: The title of the plot.

    Returns:
        The plot, a Pillow image.

    Raises:
        MissingMatplotlib: matplotlib cannot be imported.
    """
    figure, axes = empty_plot("cycles per picture", "power", title)
    for (name, frequencies, power), colour in zip(curves, _colours(len(curves))):
        positive = frequencies > 0  # a logarithmic axis has no place for the mean, frequency 0
        axes.plot(
            frequencies[positive].tolist(), power[positive].tolist(), "o-", ms=4, color=colour, label=name
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    _add_legend(figure, axes)
    return figure_to_pil(figure)


def empty_plot(x_label: str, y_label: str, title: str) -> tuple["Figure", "Axes"]:
    """Make an empty plot in the style of this package.

    Args:
        x_label: The label of the horizontal axis.
        y_label: The label of the vertical axis.
        title: The title of the plot.

    Returns:
        The matplotlib figure, and its axes.

    Raises:
        MissingMatplotlib: matplotlib cannot be imported.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def figure_to_pil(figure: "Figure") -> Picture:
    """Draw a matplotlib figure as a Pillow image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def _tick_whole_numbers(axes: "Axes") -> None:
    """Put ticks of the horizontal axis at whole numbers only. Else as matplotlib's default locator does."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True))


def _colours(count: int) -> np.ndarray:
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.9, count))  # the end of the map is too pale on white


def _add_legend(figure: "Figure", axes: "Axes") -> None:
    """Add a legend. Of many curves it names every second, third, ...; their colours are in order."""
    curves = axes.get_lines()
    named = curves[:: 1 + len(curves) // MAX_LEGEND_ENTRIES]
    figure.legend(handles=named, loc="outside right upper", frameon=False, fontsize=9)
