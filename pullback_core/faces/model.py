"""The bundled model: words and a UNet in one file, and its `Denoiser`."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn
from torch.nn import Embedding

from ..basis import prompt_hash
from ..files import write_atomically
from ..schedule import VPSchedule
from .draw import SIZE
from .unet import UNet, UNetConfig
from .vocabulary import TOKEN_COUNT, tokenize

FORMAT = "pullback_faces"
UNET_PREFIX = "model.diffusion_model."
WEIGHTS = Path(__file__).with_name("faces.safetensors")
EXPRESSIONS = WEIGHTS.with_name("expressions.safetensors")  # the same network, trained on one person alone
PATCH = 3  # pixels a latent pixel is wide: (3, 48, 48) -> (27, 16, 16)
LATENT_SHAPE = (3 * PATCH**2, SIZE // PATCH, SIZE // PATCH)
LATENT_SCALE = 2.0  # about unit variance, for which v-prediction is balanced between noise and picture
BETAS = (0.00085, 0.0285)  # sigma up to 318: what a whole picture has in common is gone well before the end
CONFIG = UNetConfig(
    in_channels=LATENT_SHAPE[0],
    out_channels=LATENT_SHAPE[0],
    model_channels=96,
    channel_mult=(1, 1, 1),
    num_res_blocks=(1, 1, 1),
    transformer_depth=(0, 1, 1),
    context_dim=128,
)


def encode_image(image):
    """Pictures to latents, exactly: (b, 3, h, w) RGB in [-1, 1] -> (b, 27, h/3, w/3)."""
    return F.pixel_unshuffle(image, PATCH) * LATENT_SCALE


def decode_latent(latent):
    """The inverse of `encode_image`: (b, 27, h, w) -> (b, 3, 3h, 3w), not clamped."""
    return F.pixel_shuffle(latent / LATENT_SCALE, PATCH)


class FacesModel(nn.Module):
    """A v-prediction UNet over the latents of `encode_image`, conditioned on `vocabulary` tokens."""

    def __init__(self, config=CONFIG, betas=BETAS):
        super().__init__()
        self.schedule = VPSchedule.scaled_linear(*betas)
        self.betas = betas
        self.unet = UNet(config)
        self.words = Embedding(TOKEN_COUNT, config.context_dim)

    def context(self, prompts):
        """Prompts (one string or a list of b) -> cross-attention context (b, len(SLOTS), context_dim)."""
        prompts = [prompts] if isinstance(prompts, str) else prompts
        return self.words(torch.stack([tokenize(prompt) for prompt in prompts]).to(self.words.weight.device))

    def save(self, path):
        """Write fp16 safetensors; the UNet's names are those of a CompVis checkpoint."""
        tensors = {UNET_PREFIX + name: value for name, value in self.unet.state_dict().items()}
        tensors["words.weight"] = self.words.weight
        metadata = {"format": FORMAT, "config": json.dumps(asdict(self.unet.config)), "betas": json.dumps(self.betas)}
        write_atomically(path, save({name: value.detach().half().contiguous() for name, value in tensors.items()}, metadata))


def load_model(path=WEIGHTS):
    """Load a `FacesModel` file, in float32, ready to use.

    Its `fingerprint` is a hash of the file. Raises FileNotFoundError, or ValueError for a file of something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no model file {str(path)!r}.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ValueError("it is of another format")
            config = UNetConfig(**{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in json.loads(metadata["config"]).items()
            })
            model = FacesModel(config, tuple(json.loads(metadata["betas"])))
            tensors = {name.removeprefix(UNET_PREFIX): file.get_tensor(name).float() for name in file.keys()}
        model.words.load_state_dict({"weight": tensors.pop("words.weight")})
        model.unet.load_state_dict(tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise ValueError(f"{path.name!r} is not a usable faces model: {error}") from error
    model.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return model.eval().requires_grad_(False)


class FacesDenoiser:
    """The `Denoiser` of the bundled model under one prompt.

    prompt: comma-separated phrases of `vocabulary`; "" for none.
    guidance: classifier-free guidance scale; 1 is none. It acts on `denoise` alone.
    feature: the block whose output `encode` returns, one of `unet.feature_names`.
    """

    def __init__(self, model, prompt="", *, guidance=1.0, feature="middle"):
        if feature not in model.unet.feature_names:
            raise ValueError(f"There is no block named {feature!r}; choose one of {', '.join(model.unet.feature_names)}.")
        self.model, self.schedule = model, model.schedule
        self.guidance, self.feature = guidance, feature
        self.context = model.context([prompt])
        self.empty_context = model.context([""])
        self.provenance = {
            "model": getattr(model, "fingerprint", "unsaved"), "prompt": prompt_hash(prompt), "feature": feature,
        }

    def denoise(self, x, sigma):
        z = self.schedule.to_network(x, sigma)
        velocity = self._network(z, sigma, self.context)
        if self.guidance != 1:
            empty = self._network(z, sigma, self.empty_context)
            velocity = empty + self.guidance * (velocity - empty)
        return (z - sigma * velocity) / (1 + sigma**2) ** 0.5

    def encode(self, z, sigma):
        return self._network(z, sigma, self.context, self.feature)

    def _network(self, z, sigma, context, feature=None):
        timestep = self.schedule.timestep(sigma).round().to(device=z.device, dtype=torch.float32)
        return self.model.unet(z, timestep.expand(len(z)), context.expand(len(z), -1, -1), feature)
