"""How pictures compare."""

import numpy as np


def difference(one, other):
    """The mean difference of two pictures, in levels of 0..255."""
    return np.abs(one - other).mean()


def cosine(one, other):
    """The cosine of the angle between two changes of a picture."""
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()))


def inside(change, left, top, right, bottom):
    """The share of the energy of a change in a rectangle, whose edges are shares of width and height."""
    height, width = change.shape[:2]
    rows, columns = (
        slice(int(top * height), int(bottom * height)),
        slice(int(left * width), int(right * width)),
    )
    return float((change[rows, columns] ** 2).sum() / (change**2).sum())
