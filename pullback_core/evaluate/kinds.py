"""The kinds of directions that are compared."""

from typing import NamedTuple

import torch

from .. import faces
from ..models.denoiser import PICTURE
from .point import BOTTLENECK, Point, Search, load_denoiser

CYCLES = 4.0  # of smooth random directions: the highest frequency, in cycles per picture
SMOOTH = "smooth"
WORDS = "words"
DEFAULT = "picture_rotated"
PHRASES = ("smiling", "open mouth", "glasses", "beard", "hat", "long hair", "dark skin", "old")


class Directions(NamedTuple):
    """Some directions at one point.

    Attributes:
        v: (k, c, h, w) of unit length, in network coordinates.
        pictures: (k, c, h, w) J0 v, what they do to the predicted picture.
    """

    v: torch.Tensor
    pictures: torch.Tensor


class Kind(NamedTuple):
    """A kind of directions.

    Attributes:
        title: What the page calls it.
        search: The search for a basis, or None.
        rotated: Whether the basis is turned.
    """

    title: str
    search: Search | None = None
    rotated: bool = False


KINDS = {
    "h": Kind("bottleneck", Search(BOTTLENECK)),
    "h_rotated": Kind("bottleneck, rotated", Search(BOTTLENECK), True),
    "h_averaged": Kind("bottleneck, averaged", Search(BOTTLENECK, True)),
    "picture": Kind("picture", Search(PICTURE)),
    "picture_rotated": Kind("picture, rotated", Search(PICTURE), True),
    "picture_averaged": Kind("picture, averaged", Search(PICTURE, True)),
    "picture_averaged_rotated": Kind("picture, averaged and rotated", Search(PICTURE, True), True),
    WORDS: Kind("shift of a word, d_w"),
    SMOOTH: Kind("smooth random"),
}
BASES = tuple(name for name, kind in KINDS.items() if kind.search)


def directions_of(name: str, point: Point) -> Directions:
    """The first directions of a kind at a point.

    Args:
        name: A key of `KINDS`.
        point: The point.

    Returns:
        As many directions as the settings say.
    """
    kind, count = KINDS[name], point.store.settings.shown
    if kind.search is not None:
        basis = point.basis(kind.search, rotated=kind.rotated)
        return Directions(basis.v[:count], basis.picture_changes()[:count])
    v = _word_shifts(point, count) if name == WORDS else smooth_directions(count, point.face)
    return Directions(v, point.products(v))


def smooth_directions(count: int, seed: int) -> torch.Tensor:
    """Random directions with only the lowest frequencies of the picture.

    Args:
        count: How many.
        seed: The seed of the random numbers.

    Returns:
        (count, 27, 16, 16) of unit length.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 3, faces.SIZE, faces.SIZE, generator=generator)
    frequency = torch.fft.fftfreq(faces.SIZE, 1 / faces.SIZE)
    low = torch.hypot(frequency[:, None], frequency[None, :]) <= CYCLES
    return _unit(faces.encode_image(torch.fft.ifft2(torch.fft.fft2(noise) * low).real))


def _word_shifts(point: Point, count: int) -> torch.Tensor:
    """The shifts x0(z, word) - x0(z) of the first phrases, of unit length: (count, c, h, w)."""
    x, sigma = point.noisy.x, point.noisy.sigma
    with torch.no_grad():
        empty = load_denoiser().denoise(x, sigma)
        shifts = [load_denoiser(prompt=phrase).denoise(x, sigma) - empty for phrase in PHRASES[:count]]
    return _unit(torch.cat(shifts))


def _unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
