"""The only code that touches ComfyUI's internals. Everything else sees the core's `Denoiser`, and tensors.

A node calls `while_sampling` with a function, which gets a `HostDenoiser` and the pictures of a LATENT. Its
result becomes a LATENT again by `clean_latent` or `noisy_latent`.
"""

from .basis_files import basis_path, described_basis, save_basis
from .board import BoardInputs, keep_setting, run_board
from .check import CheckedDenoiser, check_derivatives, check_derivatives_over_time, check_features
from .denoiser import HostDenoiser
from .edits import applied_pictures, edit_and_keep, edit_pictures, even_strengths, finish_edits
from .faces import advice_on_size, encode_words, example_faces, load_faces
from .features import DEFAULT, blocks_of, feature_named, features_of
from .images import core_to_image, direction_preview, image_to_core, pil_to_image, thumbnail_to_image
from .latents import clean_latent, edited_origins, inverted_origins, noisy_latent
from .library import basis_files, library_entries, library_thumbnail
from .library_routes import register_routes
from .masks import MaskedDenoiser, kept_parts, mask_of, masks_for_basis, with_kept_parts
from .origins import Origin, origins_of, with_picture
from .plots import plot_of
from .progress import Progress, show_status
from .quality_boost import quality_boost_sampler
from .schedules import ddim_sigmas, schedule_of
from .session import while_sampling
from .strengths import calibrate, preview_pictures, straight_ranges
from .words import direction_of_shift, encode_texts, predictions, split_words

__all__ = [
    "DEFAULT",
    "BoardInputs",
    "CheckedDenoiser",
    "HostDenoiser",
    "MaskedDenoiser",
    "Origin",
    "Progress",
    "advice_on_size",
    "applied_pictures",
    "basis_files",
    "basis_path",
    "blocks_of",
    "calibrate",
    "check_derivatives",
    "check_derivatives_over_time",
    "check_features",
    "clean_latent",
    "core_to_image",
    "ddim_sigmas",
    "described_basis",
    "direction_of_shift",
    "direction_preview",
    "edit_and_keep",
    "edit_pictures",
    "edited_origins",
    "encode_texts",
    "encode_words",
    "even_strengths",
    "example_faces",
    "feature_named",
    "features_of",
    "finish_edits",
    "image_to_core",
    "inverted_origins",
    "keep_setting",
    "kept_parts",
    "library_entries",
    "library_thumbnail",
    "load_faces",
    "mask_of",
    "masks_for_basis",
    "noisy_latent",
    "origins_of",
    "pil_to_image",
    "plot_of",
    "predictions",
    "preview_pictures",
    "quality_boost_sampler",
    "register_routes",
    "run_board",
    "save_basis",
    "schedule_of",
    "show_status",
    "split_words",
    "straight_ranges",
    "thumbnail_to_image",
    "while_sampling",
    "with_kept_parts",
    "with_picture",
]
