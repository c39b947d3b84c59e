"""Contact sheets: labelled tables of pictures. Pillow draws them, so they do not need matplotlib."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from PIL.Image import Image as Picture

from .pictures import to_pil

BACKGROUND, INK, FAINT = (250, 250, 248), (40, 40, 46), (130, 130, 138)
GAP, PAD = 6, 14  # pixels between pictures, and around the sheet
FONT_SIZE = 15
LINE = FONT_SIZE + 6  # pixels from one line of text beside a row to the next
TITLE_HEIGHT, HEADING_HEIGHT = FONT_SIZE + 12, FONT_SIZE + 10

Row = tuple[str, Sequence[torch.Tensor | None]]  # a label, and an image for each column
Box = tuple[int, int, int, int]  # left, top, width and height of an image on a sheet, in pixels


@dataclass
class _Row:
    label: str
    notes: list[str]
    pictures: list[Picture | None]
    height: int


def contact_sheet(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    row_notes: Sequence[str] | None = None,
    title: str = "",
    cell: int = 128,
) -> Picture:
    """Draw a labelled table of images. Each image is shown whole and in its own aspect.

    Args:
        rows: For each row its label, and an image (3, h, w) in [-1, 1] for each column. None leaves a cell
            empty.
        columns: The headings.
        row_notes: A text below the label of each row. It may have several lines.
        title: A text above the table.
        cell: The width of every image, in pixels. A row is as high as its highest image or its text.

    Returns:
        The sheet, a Pillow image.
    """
    return placed_contact_sheet(rows, columns, row_notes=row_notes, title=title, cell=cell)[0]


def placed_contact_sheet(
    rows: Sequence[Row],
    columns: Sequence[str],
    *,
    row_notes: Sequence[str] | None = None,
    title: str = "",
    cell: int = 128,
) -> tuple[Picture, list[list[Box | None]]]:
    """Draw a labelled table of images, and say where each is.

    Args:
        rows: As in `contact_sheet`.
        columns: As in `contact_sheet`.
        row_notes: As in `contact_sheet`.
        title: As in `contact_sheet`.
        cell: As in `contact_sheet`.

    Returns:
        The sheet, a Pillow image, and for each row the place of each of its images; None for an empty cell.
    """
    font, small = ImageFont.load_default(FONT_SIZE), ImageFont.load_default(FONT_SIZE - 2)
    notes = [note.split("\n") if note else [] for note in row_notes or [""] * len(rows)]
    table = [_row(label, images, lines, cell) for (label, images), lines in zip(rows, notes, strict=True)]

    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    texts = [ruler.textlength(row.label, font) for row in table]
    texts += [ruler.textlength(line, small) for row in table for line in row.notes]
    left = PAD + round(max(texts, default=0)) + PAD
    top = PAD + (TITLE_HEIGHT if title else 0) + HEADING_HEIGHT
    column_width = max([cell, *(math.ceil(ruler.textlength(heading, font)) for heading in columns)])
    table_width = max(
        left + len(columns) * (column_width + GAP) - GAP, round(ruler.textlength(title, font)) + PAD
    )

    height = top + sum(row.height + GAP for row in table) - GAP + PAD
    sheet = Image.new("RGB", (table_width + PAD, height), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    draw.text((PAD, PAD), title, INK, font)
    middles = [left + index * (column_width + GAP) + column_width / 2 for index in range(len(columns))]
    for middle, heading in zip(middles, columns):
        draw.text((middle, top - 8), heading, INK, font, anchor="ms")
    places = []
    for row in table:
        _draw_texts(draw, row, top, font, small)
        places.append(_paste_pictures(sheet, row, top, middles))
        top += row.height + GAP
    return sheet, places


def _row(label: str, images: Sequence[torch.Tensor | None], notes: list[str], cell: int) -> _Row:
    pictures = [None if image is None else to_pil(image, cell) for image in images]
    highest = max((picture.height for picture in pictures if picture is not None), default=cell)
    return _Row(label, notes, pictures, max(highest, LINE * (1 + len(notes))))


def _draw_texts(draw: ImageDraw.ImageDraw, row: _Row, top: int, font, small) -> None:
    """Draw the label and the notes of a row, centred between its top and bottom."""
    y = top + row.height / 2 - LINE * (1 + len(row.notes)) / 2
    draw.text((PAD, y), row.label, INK, font)
    for index, line in enumerate(row.notes, start=1):
        draw.text((PAD, y + index * LINE), line, FAINT, small)


def _paste_pictures(sheet: Picture, row: _Row, top: int, middles: list[float]) -> list[Box | None]:
    """Paste the pictures of a row, and say where they are."""
    places: list[Box | None] = []
    for middle, picture in zip(middles, row.pictures):
        if picture is None:
            places.append(None)
            continue
        place = round(middle - picture.width / 2), top + (row.height - picture.height) // 2
        sheet.paste(picture, place)
        places.append((*place, picture.width, picture.height))
    return places


def note(text: str, size: tuple[int, int] = (720, 432)) -> Picture:
    """Draw a text in the place of a plot.

    Args:
        text: The text. Lines are broken between words.
        size: (width, height) of the picture in pixels.

    Returns:
        A Pillow image.
    """
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
