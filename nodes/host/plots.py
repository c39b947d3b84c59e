"""Plots of the core as IMAGE, also where matplotlib is missing."""

import logging

from ...pullback_core import figures
from .images import pil_to_image


def plot_of(draw, *arguments):
    """The plot that a function of the core's figures draws, as IMAGE (1, h, w, 3) in [0, 1].

    Without matplotlib, the image is a sentence that says what to install, and the other outputs of the node
    are not lost.
    """
    try:
        picture = draw(*arguments)
    except figures.MissingMatplotlib as error:
        logging.warning("%s", error)
        picture = figures.note(str(error))
    return pil_to_image([picture])
