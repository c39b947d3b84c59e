"""Directions for a part of a face: how much of the edit stays inside, and whether it is what was meant."""

import math
from typing import Any

import torch

from .. import faces
from ..basis import PullbackBasis
from ..directions.masks import masked_basis
from ..models.denoiser import PICTURE
from . import measures
from .baselines import null_space_basis
from .parts import part_mask
from .point import Point, load_denoiser, load_regressor

COUNT = 2  # directions of each part
INTENDED = {
    "mouth": ("smile", "mouth_open"),
    "eyes": ("eye_size", "brow", "glasses"),
    "hair": ("hair_red", "hair_green", "hair_blue", "hair_length", "fringe"),
    "shirt": ("shirt_red", "shirt_green", "shirt_blue"),
}


def masked_edits(point: Point, baseline: bool) -> dict[str, Any]:
    """Measure edits of each part of a face.

    Each move changes the inside of the mask by strength 1: the mean square of the foretold change is that of
    the settings, taken over the mask.

    Args:
        point: The face.
        baseline: Take directions of `null_space_basis` in the place of `masked_basis`.

    Returns:
        {part: {"inside", "intended", "off_face"}}: lists with one entry for each direction: the share of the
        energy of the change that is inside, whether an attribute of the part changes most, and the distance
        from a face. A part that does not show is left out.
    """
    found: dict[str, Any] = {}
    for part in point.store.settings.parts:
        mask = part_mask(point.parameters, part)
        if mask.any():
            found[part] = _edits(point, part, mask, baseline)
    return found


def _edits(point: Point, part: str, mask: torch.Tensor, baseline: bool) -> dict[str, list[float]]:
    weights = faces.encode_mask(mask)
    basis = _directions(point, weights, baseline)
    lengths = point.store.settings.change * math.sqrt(weights.sum().item()) / basis.s[:COUNT]
    displacements = lengths.view(-1, 1, 1, 1) * basis.v[:COUNT]
    ends = point.generate(torch.cat([displacements, -displacements]))
    pictures = faces.decode_latent(ends).clamp(-1, 1)
    plus, minus = pictures.chunk(2)
    regressor = load_regressor()
    strongest = measures.attribute_change(regressor, plus, minus).abs().argmax(dim=1).tolist()
    off_face = measures.off_face(regressor, pictures).unflatten(0, (2, -1)).mean(dim=0)
    return {
        "inside": measures.share_inside(plus - minus, mask).tolist(),
        "intended": [float(faces.NAMES[index] in INTENDED[part]) for index in strongest],
        "off_face": off_face.tolist(),
    }


def _directions(point: Point, weights: torch.Tensor, baseline: bool) -> PullbackBasis:
    if baseline:
        return null_space_basis(load_denoiser(PICTURE), point.noisy, weights, COUNT)
    return masked_basis(point.deep_basis(), [weights], COUNT).basis
