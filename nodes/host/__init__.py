"""The only code that touches ComfyUI's internals. Everything else sees the core's `Denoiser`, and tensors."""

from .denoiser import HostDenoiser, run, schedule_of
from .derivatives import check_derivatives
from .faces import encode_words, load_faces
from .features import DEFAULT, feature_named, features_of
from .files import basis_files, basis_path, next_basis_path
from .latents import images_from, images_of, latent_of, levels_of, mask_of, pictures_of, rgb_of
from .progress import Progress, say
from .sampler import quality_boost_sampler

__all__ = [
    "DEFAULT", "HostDenoiser", "Progress", "basis_files", "basis_path", "check_derivatives", "encode_words", "feature_named",
    "features_of", "images_from", "images_of", "latent_of", "levels_of", "load_faces", "mask_of", "next_basis_path", "pictures_of",
    "quality_boost_sampler", "rgb_of", "run", "say", "schedule_of",
]
