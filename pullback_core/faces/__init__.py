"""Drawn faces with known attributes, and a small text-conditioned diffusion model of them.

>>> model = faces.load_model()
>>> denoiser = faces.FacesDenoiser(model, "smiling, glasses")
>>> latent = faces.encode_image(faces.example_faces([0]))
"""

import torch

from .draw import SIZE, draw_faces
from .model import (
    EXPRESSIONS,
    LATENT_SHAPE,
    PATCH,
    WEIGHTS,
    FacesDenoiser,
    FacesModel,
    decode_latent,
    encode_image,
    load_model,
)
from .parameters import DATA, NAMES, sample_parameters
from .regressor import AttributeRegressor, load_regressor, train_regressor
from .train import TrainingOptions, train_model

__all__ = [
    "DATA",
    "EXPRESSIONS",
    "LAST_EXAMPLE",
    "LATENT_SHAPE",
    "NAMES",
    "PATCH",
    "SIZE",
    "WEIGHTS",
    "AttributeRegressor",
    "FacesDenoiser",
    "FacesModel",
    "TrainingOptions",
    "decode_latent",
    "draw_faces",
    "encode_image",
    "example_faces",
    "example_parameters",
    "load_model",
    "load_regressor",
    "sample_parameters",
    "train_model",
    "train_regressor",
]

HELD_OUT_SEED = 2**40  # far above every seed that training uses
LAST_EXAMPLE = 2**64 - 1 - HELD_OUT_SEED  # seeds have 64 bits


def example_parameters(numbers, data="faces"):
    """The parameters of example faces, which the model has never seen. data: a key of `DATA`.

    numbers: a list of b integers from 0 to `LAST_EXAMPLE`. Raises ValueError for others.
    """
    for number in numbers:
        if not 0 <= number <= LAST_EXAMPLE:
            raise ValueError(f"Example faces are numbered from 0 to {LAST_EXAMPLE}, got {number}.")
    return torch.cat(
        [
            sample_parameters(1, torch.Generator().manual_seed(HELD_OUT_SEED + number), data)
            for number in numbers
        ]
    )


def example_faces(numbers, data="faces"):
    """Drawings of `example_parameters`: (b, 3, 48, 48) RGB in [-1, 1]."""
    return draw_faces(example_parameters(numbers, data))
