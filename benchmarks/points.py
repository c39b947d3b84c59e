"""Noisy latents at which the benchmarks measure."""

import torch

from pullback_core import NoisyLatent, ddim, faces
from pullback_core.faces.unet import UNetConfig

RANDOM = UNetConfig(  # like Stable Diffusion 1.5 at a tenth of its width, for latents of 128 x 128 pictures
    in_channels=4,
    out_channels=4,
    model_channels=32,
    channel_mult=(1, 2, 4, 4),
    num_res_blocks=(1, 1, 1, 1),
    transformer_depth=(1, 1, 1, 1),
    context_dim=64,
)
SD15 = UNetConfig(  # the size of Stable Diffusion 1.5; heads of one width
    in_channels=4,
    out_channels=4,
    model_channels=320,
    channel_mult=(1, 2, 4, 4),
    num_res_blocks=(2, 2, 2, 2),
    transformer_depth=(1, 1, 1, 0),
    context_dim=768,
    num_head_channels=80,
)


def faces_points(count, timestep, steps=50):
    """The bundled model, and example faces inverted to a timestep: (denoiser, noisy latents)."""
    denoiser = faces.FacesDenoiser(faces.load_model())
    sigmas = denoiser.schedule.sigmas(round(steps * timestep), start=timestep)
    latents = faces.encode_image(faces.example_faces(range(count)))
    return denoiser, ddim.invert(denoiser, latents, sigmas, refine=2)


def random_points(count, timestep, config=RANDOM, size=16):
    """An untrained UNet with the form of Stable Diffusion, and pure noise: (denoiser, noisy latents)."""
    torch.manual_seed(0)
    denoiser = faces.FacesDenoiser(faces.FacesModel(config).eval().requires_grad_(False))
    sigma = denoiser.schedule.sigma(timestep)
    z = torch.randn(count, 4, size, size)
    return denoiser, NoisyLatent(denoiser.schedule.scale(sigma) * z, torch.tensor([sigma, 0.0]))


def sd15_points(count, timestep):
    """As `random_points`, with a UNet of the size of Stable Diffusion 1.5."""
    return random_points(count, timestep, SD15)


NETWORKS = {"faces": faces_points, "random": random_points, "sd15": sd15_points}
