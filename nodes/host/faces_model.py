"""The bundled faces model in the host's classes."""

from functools import lru_cache

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.patcher_extension
import comfy.sd
import comfy.supported_models_base
import torch

from ...pullback_core import faces
from ...pullback_core.threads import one_thread
from .fingerprints import FINGERPRINT

CHANNELS = faces.LATENT_SHAPE[0]


class FacesLatent(comfy.latent_formats.LatentFormat):
    """The latents of the faces VAE, without the scale of the model.

    Attributes:
        pixels: How many pixels are the side of a latent pixel.
        trained_side: The side of the square pictures that the model was trained on, in latent pixels.
    """

    latent_channels = CHANNELS
    scale_factor = faces.LATENT_SCALE
    pixels = faces.PATCH
    trained_side = faces.LATENT_SHAPE[-1]

    def __init__(self):
        # Previews show a latent pixel as the mean of its pixels. The channels are (colour, row, column).
        colours = torch.eye(3).repeat_interleave(faces.PATCH**2, dim=0) / (faces.PATCH**2 * self.scale_factor)
        self.latent_rgb_factors = colours.tolist()
        self.latent_rgb_factors_bias = None
        self.taesd_decoder_name = None

    def rgb(self, latent):
        """A latent (c, h, w) in the model's scale -> a picture (3, H, W) at full resolution."""
        return faces.decode_latent(latent[None].float().cpu())[0]


class FacesConfig(comfy.supported_models_base.BASE):
    """What the host's loaders know of a kind of model, for the bundled model."""

    latent_format = FacesLatent
    memory_usage_factor = 0.1

    def model_type(self, state_dict, prefix=""):
        return comfy.model_base.ModelType.V_PREDICTION

    def inpaint_model(self):
        return False  # the host would guess True from more than four channels


class FacesAutoencoder(torch.nn.Module):
    """An exact rearrangement of pixels in the place of a VAE. Pictures are in [-1, 1], latents unscaled."""

    def encode(self, pictures):
        return faces.encode_image(pictures) / faces.LATENT_SCALE

    def decode(self, latents):
        return faces.decode_latent(latents * faces.LATENT_SCALE)


@lru_cache(maxsize=1)
def bundled_model():
    """The core's `FacesModel`."""
    return faces.load_model()


def make_model():
    """The bundled model as MODEL."""
    device = comfy.model_management.get_torch_device()
    offload = comfy.model_management.unet_offload_device()
    base = _config().get_model({}, "", offload)
    base.diffusion_model.load_state_dict(bundled_model().unet.state_dict())
    model = comfy.model_patcher.ModelPatcher(base.eval(), load_device=device, offload_device=offload)
    model.set_attachments(FINGERPRINT, bundled_model().fingerprint)
    if comfy.model_management.is_device_cpu(device):
        when = comfy.patcher_extension.WrappersMP.OUTER_SAMPLE
        model.add_wrapper_with_key(when, "pullback_one_thread", _in_one_thread)
    return model


def make_vae():
    """The VAE of the bundled model."""
    vae = comfy.sd.VAE(sd={"pixel_space_vae": torch.tensor(1.0)})
    vae.first_stage_model = FacesAutoencoder()
    vae.patcher = comfy.model_patcher.ModelPatcher(
        vae.first_stage_model, vae.patcher.load_device, vae.patcher.offload_device
    )
    vae.downscale_ratio = vae.upscale_ratio = faces.PATCH
    vae.latent_channels = CHANNELS
    vae.vae_dtype = torch.float32
    return vae


def _config():
    """The bundled model as a configuration of the host."""
    bundled = bundled_model()
    settings = bundled.unet.config
    inputs, outputs = _depths(settings)
    config = FacesConfig(
        {
            "image_size": 32,
            "use_spatial_transformer": True,
            "legacy": False,
            "use_linear_in_transformer": False,
            "in_channels": settings.in_channels,
            "out_channels": settings.out_channels,
            "model_channels": settings.model_channels,
            "channel_mult": list(settings.channel_mult),
            "num_res_blocks": list(settings.num_res_blocks),
            "context_dim": settings.context_dim,
            "transformer_depth": inputs,
            "transformer_depth_output": outputs,
            "transformer_depth_middle": 1,
            "num_head_channels": settings.num_head_channels,
            "dtype": torch.float32,
        }
    )
    config.unet_config |= {"num_heads": -1, "num_head_channels": settings.num_head_channels}
    config.sampling_settings = {"linear_start": bundled.betas[0], "linear_end": bundled.betas[1]}
    return config


def _depths(settings):
    """The attention depth of every residual block on the way down and on the way up."""
    inputs, outputs = [], []
    for depth, blocks in zip(settings.transformer_depth, settings.num_res_blocks):
        inputs += [depth] * blocks
        outputs += [depth] * (blocks + 1)
    return inputs, outputs


def _in_one_thread(sample, *arguments, **options):
    """Around each sampling of the model, also by stock samplers. `threads` in the core says why."""
    with one_thread():
        return sample(*arguments, **options)
