"""The only code that touches ComfyUI's internals. Everything else sees the core's `Denoiser`, and tensors."""

from .basis_files import basis_files, basis_path, save_basis
from .denoiser import HostDenoiser, schedule_of, while_sampling
from .differentiation import check_derivatives
from .faces import advice_on_size, encode_words, load_faces
from .features import DEFAULT, feature_named, features_of
from .latents import (
    core_to_image,
    ddim_sigmas,
    direction_preview,
    edited_origins,
    image_to_core,
    inverted_origins,
    kept_parts,
    latent_of,
    mask_of,
    pil_to_image,
)
from .origins import Origin, origins_of
from .plots import plot_of
from .progress import Progress, show_status
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
    "core_to_image",
    "ddim_sigmas",
    "direction_preview",
    "edited_origins",
    "encode_words",
    "feature_named",
    "features_of",
    "image_to_core",
    "inverted_origins",
    "kept_parts",
    "latent_of",
    "load_faces",
    "mask_of",
    "origins_of",
    "pil_to_image",
    "plot_of",
    "quality_boost_sampler",
    "save_basis",
    "schedule_of",
    "show_status",
    "while_sampling",
    "with_kept_parts",
]
