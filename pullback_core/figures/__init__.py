"""Figures of bases and edits: contact sheets, plots and single pictures.

An image is an RGB tensor (3, h, w) in [-1, 1]. A picture is a Pillow image. Every figure is a picture.
"""

from .labels import number_labels
from .pictures import direction_map, from_pil, save_picture, to_pil
from .plots import (
    MissingMatplotlib,
    angle_plot,
    decay_plot,
    empty_plot,
    figure_to_pil,
    heat_map,
    require_matplotlib,
    singular_value_plot,
    spectrum_plot,
)
from .sheet import contact_sheet, note, placed_contact_sheet

__all__ = [
    "MissingMatplotlib",
    "angle_plot",
    "contact_sheet",
    "decay_plot",
    "direction_map",
    "empty_plot",
    "figure_to_pil",
    "from_pil",
    "heat_map",
    "note",
    "number_labels",
    "placed_contact_sheet",
    "require_matplotlib",
    "save_picture",
    "singular_value_plot",
    "spectrum_plot",
    "to_pil",
]
