"""UNet pipelines of Hugging Face's diffusers: Stable Diffusion 1, 2 and XL, and unconditional ones.

This package imports nothing of diffusers itself. It recognizes a UNet, a scheduler and a pipeline by the
names of their classes and by their attributes.
"""

from .denoiser import DiffusersDenoiser
from .images import decode_latent, encode_image

__all__ = ["DiffusersDenoiser", "decode_latent", "encode_image"]
