"""Pictures of bases and edits.

Images are (3, h, w) RGB tensors in [-1, 1]; figures are Pillow images.
"""

import io
import math

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .atomic import write_atomically
from .picture_files import to_rgb

BACKGROUND, INK, FAINT = (250, 250, 248), (40, 40, 46), (130, 130, 138)
GAP, PAD = 6, 14
FONT_SIZE = 15
LINE = FONT_SIZE + 6  # the height of a line of text beside a row


class MissingMatplotlib(ImportError):
    """A plot was asked for and matplotlib cannot be imported; the message says what to install."""


def require_matplotlib():
    """Raise `MissingMatplotlib` if plots cannot be drawn. Sheets of pictures do not need it."""
    try:
        import matplotlib.figure  # noqa: F401  slow to import, so only where a plot is drawn
    except ImportError as error:
        raise MissingMatplotlib(
            f"Plots need matplotlib, and it cannot be imported ({error}); install it with: python -m pip install matplotlib."
        ) from error


def to_pil(image, size=None):
    """(3, h, w) in [-1, 1] -> Pillow image; `size` resamples it to that width in pixels, and keeps its aspect."""
    levels = ((image.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    picture = Image.fromarray(levels.permute(1, 2, 0).numpy())
    if size and size != picture.width:
        height = max(1, round(size * picture.height / picture.width))
        picture = picture.resize((size, height), Image.Resampling.BICUBIC)
    return picture


def from_pil(picture):
    """Pillow image of any mode -> (3, h, w) RGB in [-1, 1]. Raises ValueError as `picture_files.to_rgb` does."""
    return torch.from_numpy(np.array(to_rgb(picture))).permute(2, 0, 1).float() / 127.5 - 1


def direction_map(direction):
    """What a direction would add, as a picture: (3, h, w) scaled so that grey is nothing and +-1 its 99.5% peak."""
    peak = direction.abs().flatten().quantile(0.995)
    return (direction / peak.clamp(min=1e-12)).clamp(-1, 1)


def number_labels(numbers, digits=3, sign=False):
    """Short texts of numbers, as many as there are, that differ wherever the numbers do.

    numbers: a list; digits: the significant digits of the texts, more where two numbers would get one text.
    sign: write a plus in front of positive numbers, and plain 0 for what is zero but for rounding.
    """
    numbers = [float(number) for number in numbers]
    largest = max((abs(number) for number in numbers if math.isfinite(number)), default=0.0)
    if sign:
        numbers = [0.0 if abs(number) < 1e-6 * largest else number for number in numbers]
    form = "+" if sign else ""
    texts = []
    for precision in range(digits, 18):  # 17 digits tell all floats apart
        texts = [f"{number:{form}.{precision}g}" for number in numbers]
        if len(set(texts)) == len(set(numbers)):
            break
    return ["0" if sign and number == 0 else text for number, text in zip(numbers, texts)]


def contact_sheet(rows, columns, *, row_notes=None, title="", cell=128):
    """A labelled table of pictures, each shown whole and in its own aspect. Drawn by Pillow alone.

    rows: a list of (label, images), each with one image for every column; None leaves a cell empty.
    columns: column headings. row_notes: one more line under each row's label.
    cell: the width of every picture in pixels; a row is as high as its highest picture or its text.
    Returns a Pillow image.
    """
    font, small = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(FONT_SIZE - 2)
    notes = [note.split("\n") if note else [] for note in row_notes or [""] * len(rows)]
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widths = [ruler.textlength(label, font) for label, _ in rows]
    widths += [ruler.textlength(line, small) for lines in notes for line in lines]
    left = PAD + round(max(widths, default=0)) + PAD
    top = PAD + (FONT_SIZE + 12 if title else 0) + FONT_SIZE + 10
    pitch = GAP + max([cell, *(math.ceil(ruler.textlength(heading, font)) for heading in columns)])
    pictures = [[image if image is None else to_pil(image, cell) for image in images] for _, images in rows]
    heights = [_row_height(row, lines, cell) for row, lines in zip(pictures, notes, strict=True)]

    width = max(left + len(columns) * pitch - GAP, round(ruler.textlength(title, font)) + PAD) + PAD
    sheet = Image.new("RGB", (width, top + sum(height + GAP for height in heights) - GAP + PAD), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((PAD, PAD), title, INK, font)
    middles = [left + index * pitch + (pitch - GAP) / 2 for index in range(len(columns))]
    for middle, heading in zip(middles, columns):
        draw.text((middle, top - 8), heading, INK, font, anchor="ms")
    y = top
    for (label, _), lines, row, height in zip(rows, notes, pictures, heights):
        start = y + height / 2 - LINE * (1 + len(lines)) / 2
        draw.text((PAD, start), label, INK, font)
        for index, line in enumerate(lines, start=1):
            draw.text((PAD, start + index * LINE), line, FAINT, small)
        for middle, picture in zip(middles, row):
            if picture is not None:
                sheet.paste(picture, (round(middle - picture.width / 2), y + (height - picture.height) // 2))
        y += height + GAP
    return sheet


def _row_height(pictures, lines, cell):
    """The height of a row of a contact sheet in pixels: of its highest picture, or of its label and notes."""
    highest = max((picture.height for picture in pictures if picture is not None), default=cell)
    return max(highest, LINE * (1 + len(lines)))


def note(text, size=(720, 432)):
    """A Pillow image that shows a text in the place of a plot. size: (width, height) in pixels."""
    font = ImageFont.load_default(FONT_SIZE)
    picture = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if draw.textlength(longer, font) <= size[0] - 2 * PAD or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    draw.multiline_text((PAD, PAD), "\n".join(lines), INK, font, spacing=6)
    return picture


def singular_value_plot(basis, title="Singular values"):
    """The spectrum of a `PullbackBasis`, as a Pillow image."""
    figure, axes = empty_plot("direction", "singular value", title)
    number = range(1, basis.rank + 1)
    axes.plot(number, basis.s.cpu(), "o-", color="#3b6ea5")
    axes.fill_between(
        number, (basis.s * (1 - basis.residuals)).cpu(), (basis.s * (1 + basis.residuals)).cpu(), alpha=0.2
    )
    axes.set(ylim=(0, None))
    axes.xaxis.get_major_locator().set_params(integer=True)
    return drawn(figure)


def heat_map(matrix, rows, columns, title="", label=""):
    """A matrix of numbers from 0 up as colours, as a Pillow image; up to twelve columns with the numbers in them.

    matrix: (n, m); rows, columns: their n and m names; label: what the numbers are. Zeros, of things compared with themselves,
    are grey, and the colours begin at the smallest number above, so that they tell the others apart.
    """
    require_matplotlib()
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    matrix = torch.as_tensor(matrix).cpu()
    width, height = (max(1.8, 0.55 * count) for count in (len(columns), len(rows)))
    figure = Figure(figsize=(width + 2.6, height + 1.3), dpi=120, layout="constrained")
    axes = figure.subplots()
    above = matrix[matrix > 0] if (matrix > 0).any() else torch.ones(1)
    bottom, top = above.min().item(), above.max().item()
    bottom = bottom if bottom < top else top / 2
    colours = axes.imshow(
        matrix.numpy(), cmap=colormaps["viridis"].with_extremes(under="#e4e4e0"), vmin=bottom, vmax=top
    )
    axes.set_xticks(range(len(columns)), columns, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title(title)
    axes.spines[:].set_visible(False)
    if len(columns) <= 12:
        for row, values in enumerate(matrix.tolist()):
            for column, value in enumerate(values):
                ink = "white" if bottom <= value < (bottom + top) / 2 else "black"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", size=9, color=ink)
    figure.colorbar(colours, label=label)
    return drawn(figure)


def angle_plot(curves, title="Principal angles"):
    """Principal angles of pairs of subspaces, as a Pillow image. curves: a list of (name, angles in radians, ascending)."""
    figure, axes = empty_plot("principal angle", "degrees", title)
    for (name, angles), colour in zip(curves, _colours(len(curves))):
        axes.plot(
            range(1, len(angles) + 1), torch.rad2deg(angles).tolist(), "o-", ms=4, color=colour, label=name
        )
    axes.set(ylim=(0, 93), yticks=range(0, 91, 15))
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure, axes)
    return drawn(figure)


def decay_plot(curves, title="Decay of the singular values"):
    """Singular values as parts of the largest, as a Pillow image. curves: a list of (name, (k,) descending)."""
    figure, axes = empty_plot("direction", "singular value / first", title)
    for (name, values), colour in zip(curves, _colours(len(curves))):
        axes.plot(
            range(1, len(values) + 1), (values / values[0]).tolist(), "o-", ms=4, color=colour, label=name
        )
    axes.set(ylim=(0, 1.05))
    axes.xaxis.get_major_locator().set_params(integer=True)
    _legend(figure, axes)
    return drawn(figure)


def spectrum_plot(curves, title="Frequency content"):
    """Power over frequency, both logarithmic, as a Pillow image.

    curves: a list of (name, frequencies, power) with frequencies in cycles per picture, as `spectra.power_spectrum` gives them.
    """
    figure, axes = empty_plot("cycles per picture", "power", title)
    for (name, frequencies, power), colour in zip(curves, _colours(len(curves))):
        seen = frequencies > 0  # the mean has no place on a logarithmic axis
        axes.plot(frequencies[seen].tolist(), power[seen].tolist(), "o-", ms=4, color=colour, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    _legend(figure, axes)
    return drawn(figure)


def empty_plot(x, y, title):
    """A matplotlib figure of this module's looks, and its axes."""
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _colours(count):
    from matplotlib import colormaps

    return colormaps["viridis"](np.linspace(0, 0.9, count))  # its end is too pale on white


def _legend(figure, axes):
    curves = axes.get_lines()
    named = curves[
        :: 1 + len(curves) // 16
    ]  # as many as there is room for; the colours in between tell the rest
    figure.legend(handles=named, loc="outside right upper", frameon=False, fontsize=9)


def drawn(figure):
    """A matplotlib figure as a Pillow image."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def save_picture(picture, path):
    """Write a Pillow image as PNG, whole or not at all."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())
