"""Plots of the core as IMAGE, also where the library that draws them is missing."""

import logging

from ...pullback_core import figures
from .latents import pil_to_image


def plot_of(draw, *arguments):
    """The plot that a function of the core's figures draws, as IMAGE (1, h, w, 3) in [0, 1].

    Without matplotlib it is a picture of a sentence that says what to install, so that a node's other outputs are not lost.
    """
    try:
        picture = draw(*arguments)
    except figures.MissingMatplotlib as error:
        logging.warning("%s", error)
        picture = figures.note(str(error))
    return pil_to_image([picture])
