"""Pictures of bases and edits.

Images are (3, h, w) RGB tensors in [-1, 1]; figures are Pillow images.
"""

import io

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .files import write_atomically

BACKGROUND, INK, FAINT = (250, 250, 248), (40, 40, 46), (130, 130, 138)
GAP, PAD = 6, 14
FONT_SIZE = 15


def to_pil(image, size=None):
    """(3, h, w) in [-1, 1] -> Pillow image; `size` resamples it to that width in pixels."""
    levels = ((image.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    picture = Image.fromarray(levels.permute(1, 2, 0).numpy())
    if size and size != picture.width:
        picture = picture.resize((size, round(size * picture.height / picture.width)), Image.Resampling.BICUBIC)
    return picture


def from_pil(picture):
    """Pillow image -> (3, h, w) RGB in [-1, 1]."""
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1


def direction_map(direction):
    """What a direction would add, as a picture: (3, h, w) scaled so that grey is nothing and +-1 its 99.5% peak."""
    peak = direction.abs().flatten().quantile(0.995)
    return (direction / peak.clamp(min=1e-12)).clamp(-1, 1)


def contact_sheet(rows, columns, *, row_notes=None, title="", cell=128):
    """A labelled table of pictures.

    rows: a list of (label, images), each with one image for every column; None leaves a cell empty.
    columns: column headings. row_notes: one more line under each row's label.
    Returns a Pillow image.
    """
    font, small = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(FONT_SIZE - 2)
    notes = row_notes or [""] * len(rows)
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widths = [ruler.textlength(label, font) for label, _ in rows]
    widths += [ruler.textlength(line, small) for note in notes for line in note.split("\n")]
    left = PAD + round(max(widths, default=0)) + PAD
    top = PAD + (FONT_SIZE + 12 if title else 0) + FONT_SIZE + 10
    width = max(left + len(columns) * (cell + GAP) - GAP, round(ruler.textlength(title, font)) + PAD) + PAD
    sheet = Image.new("RGB", (width, top + len(rows) * (cell + GAP) - GAP + PAD), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((PAD, PAD), title, INK, font)
    for index, heading in enumerate(columns):
        draw.text((left + index * (cell + GAP) + cell / 2, top - 8), heading, INK, font, anchor="ms")
    for row, ((label, images), note) in enumerate(zip(rows, notes, strict=True)):
        y = top + row * (cell + GAP)
        lines = note.split("\n") if note else []
        start = y + cell / 2 - (FONT_SIZE + 6) * (1 + len(lines)) / 2
        draw.text((PAD, start), label, INK, font)
        for index, line in enumerate(lines, start=1):
            draw.text((PAD, start + index * (FONT_SIZE + 6)), line, FAINT, small)
        for column, image in enumerate(images):
            if image is not None:
                sheet.paste(to_pil(image, cell), (left + column * (cell + GAP), y))
    return sheet


def singular_value_plot(basis, title="Singular values"):
    """The spectrum of a `PullbackBasis`, as a Pillow image."""
    from matplotlib.figure import Figure  # slow to import, so only where a plot is drawn

    figure = Figure(figsize=(6, 3.6), dpi=120, layout="constrained")
    axes = figure.subplots()
    number = range(1, basis.rank + 1)
    axes.plot(number, basis.s.cpu(), "o-", color="#3b6ea5")
    axes.fill_between(number, (basis.s * (1 - basis.residuals)).cpu(), (basis.s * (1 + basis.residuals)).cpu(), alpha=0.2)
    axes.set(xlabel="direction", ylabel="singular value", ylim=(0, None), title=title)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


def save_picture(picture, path):
    """Write a Pillow image as PNG, whole or not at all."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())
