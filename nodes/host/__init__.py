"""The only code that touches ComfyUI's internals. Everything else sees the core's `Denoiser`, and tensors."""

from .basis_files import basis_files, basis_path, save_basis
from .denoiser import HostDenoiser, run, schedule_of
from .differentiation import check_derivatives
from .faces import advice_on_size, encode_words, load_faces
from .features import DEFAULT, feature_named, features_of
from .latents import (
    edited_origins,
    images_from,
    images_of,
    inverted_origins,
    kept_parts,
    latent_of,
    levels_of,
    mask_of,
    pictures_of,
    rgb_of,
)
from .origins import Origin, origins_of
from .plots import plot_of
from .progress import Progress, say
from .quality_boost import Keeping, quality_boost_sampler, with_kept_parts

__all__ = [
    "DEFAULT",
    "HostDenoiser",
    "Keeping",
    "Origin",
    "Progress",
    "advice_on_size",
    "basis_files",
    "basis_path",
    "check_derivatives",
    "edited_origins",
    "encode_words",
    "feature_named",
    "features_of",
    "images_from",
    "images_of",
    "inverted_origins",
    "kept_parts",
    "latent_of",
    "levels_of",
    "load_faces",
    "mask_of",
    "origins_of",
    "pictures_of",
    "plot_of",
    "quality_boost_sampler",
    "rgb_of",
    "run",
    "save_basis",
    "say",
    "schedule_of",
    "with_kept_parts",
]
