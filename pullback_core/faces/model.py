"""The bundled model: words and a UNet in one file, and its `Denoiser`."""

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import Embedding

from ..atomic import write_atomically
from ..models.fingerprint import prompt_hash
from ..models.denoiser import Denoiser
from ..models.schedule import VPSchedule
from ..tensor_files import read_header, read_json, read_weights, require_finite, require_weights, to_bytes
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
        """Write fp16 safetensors; the UNet's names are those of a CompVis checkpoint.

        Raises ValueError, before anything is written, for weights that are not finite in fp16, and as `write_atomically` does.
        """
        tensors = {UNET_PREFIX + name: value for name, value in self.unet.state_dict().items()}
        tensors["words.weight"] = self.words.weight
        metadata = {
            "format": FORMAT,
            "config": json.dumps(asdict(self.unet.config)),
            "betas": json.dumps(self.betas),
        }
        tensors = {name: value.detach().half() for name, value in tensors.items()}
        try:
            require_finite(tensors)
            data = to_bytes(tensors, metadata)
        except ValueError as error:
            raise ValueError(f"This faces model cannot be saved: {error}.") from error
        write_atomically(path, data)


def load_model(path=WEIGHTS):
    """Load a `FacesModel` file, in float32, ready to use. Its `fingerprint` is a hash of the file.

    Sizes are checked first, so that a file never takes much more memory than its own size.
    Raises FileNotFoundError, ValueError with the reason for a file of something else, and OSError for one that cannot be read.
    """
    path = Path(path)
    try:
        metadata, sizes = read_header(path, "model file")
        if metadata.get("format") != FORMAT:
            raise ValueError("it is of another format")
        config, betas = _read_config(metadata, len(sizes)), _read_betas(metadata)
        require_weights(sizes, _weight_shapes(config))
        weights = read_weights(path, sizes)
        model = FacesModel(config, betas)
        model.words.load_state_dict({"weight": weights.pop("words.weight")})
        model.unet.load_state_dict(
            {name.removeprefix(UNET_PREFIX): weight for name, weight in weights.items()}
        )
        model.fingerprint = _file_hash(path)
    except ValueError as error:
        raise ValueError(f"{path.name!r} is not a usable faces model: {error}.") from error
    return model.eval().requires_grad_(False)


def _read_config(metadata, tensor_count):
    """The `UNetConfig` in a file's metadata. Raises ValueError for sizes that no network of `tensor_count` tensors has."""
    entries = read_json(metadata.get("config", ""), "its config")
    if not isinstance(entries, dict):
        raise ValueError(f"its config is {type(entries).__name__} and not a list of sizes by name")
    names = {entry.name for entry in fields(UNetConfig)}
    optional = {"num_head_channels"}
    if not names - optional <= entries.keys() <= names:
        raise ValueError(f"its config must have the entries {', '.join(sorted(names))}")
    lists = {entry.name for entry in fields(UNetConfig) if entry.type is tuple}
    for name, value in entries.items():
        smallest = 0 if name in ("num_res_blocks", "transformer_depth") else 1
        if isinstance(value, list) != (name in lists) or not _are_sizes(
            value if name in lists else [value], smallest
        ):
            raise ValueError(f"its config has an impossible {name}")
    levels = [entries[name] for name in lists]
    if len({len(values) for values in levels}) != 1:
        raise ValueError("its config has lists of different lengths")
    if sum(entries["num_res_blocks"]) + sum(entries["transformer_depth"]) + len(levels[0]) > tensor_count:
        raise ValueError("its config has more layers than the file has weights")
    return UNetConfig(**{name: tuple(value) if name in lists else value for name, value in entries.items()})


def _are_sizes(values, smallest):
    return bool(values) and all(type(value) is int and smallest <= value <= 2**20 for value in values)


def _read_betas(metadata):
    betas = read_json(metadata.get("betas", ""), "its betas")
    numbers = (
        isinstance(betas, list) and len(betas) == 2 and all(type(beta) in (int, float) for beta in betas)
    )
    if not (numbers and 0 < betas[0] <= betas[1] < 1):
        raise ValueError("its betas are not two numbers between 0 and 1 in rising order")
    return tuple(betas)


def _weight_shapes(config):
    """{name: shape} of all weights of a model, found without the memory for them. Raises ValueError if there is no such network."""
    for multiple, depth in zip(config.channel_mult, config.transformer_depth, strict=True):
        channels = multiple * config.model_channels
        heads = channels // config.num_head_channels
        if depth and not (heads and channels % heads == 0):
            raise ValueError(
                f"its config divides {channels} channels into heads of {config.num_head_channels}"
            )
    try:
        with torch.device("meta"):
            unet = UNet(config)
    except RuntimeError as error:  # a layer of more numbers than torch can count
        raise ValueError("its config has impossible sizes") from error
    shapes = {UNET_PREFIX + name: tuple(weight.shape) for name, weight in unet.state_dict().items()}
    return shapes | {"words.weight": (TOKEN_COUNT, config.context_dim)}


def _file_hash(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()[:16]


class FacesDenoiser(Denoiser):
    """The `Denoiser` of the bundled model under one prompt.

    prompt: comma-separated phrases of `vocabulary`; "" for none.
    guidance: classifier-free guidance scale; 1 is none. It acts on `denoise` alone.
    feature: the block whose output `encode` returns, one of `unet.feature_names`.
    """

    def __init__(self, model, prompt="", *, guidance=1.0, feature="middle"):
        if feature not in model.unet.feature_names:
            raise ValueError(
                f"There is no block named {feature!r}; choose one of {', '.join(model.unet.feature_names)}."
            )
        self.model, self.schedule = model, model.schedule
        self.guidance, self.feature = guidance, feature
        self.context = model.context([prompt])
        self.empty_context = model.context([""])
        self.provenance = {
            "model": getattr(model, "fingerprint", "unsaved"),
            "prompt": prompt_hash(prompt),
            "feature": feature,
        }

    def denoise(self, x, sigma):
        z = x / self.schedule.scale(sigma)
        velocity = self._network(z, sigma, self.context)
        if self.guidance != 1:
            empty = self._network(z, sigma, self.empty_context)
            velocity = empty + self.guidance * (velocity - empty)
        return (z - sigma * velocity) / (1 + sigma**2) ** 0.5

    def encode(self, x, sigma):
        return self._network(x / self.schedule.scale(sigma), sigma, self.context, self.feature)

    def _network(self, z, sigma, context, feature=None):
        timestep = self.schedule.timestep(sigma).round().to(device=z.device, dtype=torch.float32)
        return self.model.unet(z, timestep.expand(len(z)), context.expand(len(z), -1, -1), feature)
