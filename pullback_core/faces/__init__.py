"""Drawn faces with known attributes, and a small text-conditioned diffusion model of them.

>>> from pullback_core import faces
>>> model = faces.load_model()
>>> denoiser = faces.FacesDenoiser(model, "smiling, glasses")
>>> latent = faces.encode_image(faces.example_faces([0]))
>>> denoiser.encode(latent, 2.0).shape
torch.Size([1, 96, 4, 4])
"""

from .denoiser import FacesDenoiser
from .draw import SIZE, draw_faces
from .examples import LAST_EXAMPLE, example_faces, example_parameters
from .latents import LATENT_SCALE, LATENT_SHAPE, PATCH, decode_latent, encode_image, encode_mask
from .model import FacesModel
from .model_file import EXPRESSIONS, WEIGHTS, load_model, save_model
from .parameters import DATA, NAMES, sample_parameters
from .regressor import AttributeRegressor, load_regressor, train_regressor
from .train import TrainingOptions, train_model

__all__ = [
    "DATA",
    "EXPRESSIONS",
    "LAST_EXAMPLE",
    "LATENT_SCALE",
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
    "encode_mask",
    "example_faces",
    "example_parameters",
    "load_model",
    "load_regressor",
    "sample_parameters",
    "save_model",
    "train_model",
    "train_regressor",
]
