"""Loaders of tiny models in the place of those of Flux.1 dev, as a node pack that test_server.py installs."""

import sys
from pathlib import Path

import torch.nn.functional as F

# In the server, the files of the tiny models lie beside this one.
sys.path.append(str(Path(__file__).parent))
from tiny_families import FLOW_CHANNELS
from tiny_models import conditioning_for, tiny_model

LATENT_SIZE = 3.0  # about what the model takes for unit variance


class TinyVAE:
    """A latent pixel has the means of four squares of 4 x 4 pixels."""

    def encode(self, pixels):
        means = F.avg_pool2d(pixels[..., :3].movedim(-1, 1) * 2 - 1, 4)
        return F.pad(LATENT_SIZE * F.pixel_unshuffle(means, 2), (0, 0, 0, 0, 0, FLOW_CHANNELS - 12))

    def decode(self, latent):
        means = F.pixel_shuffle(latent[:, :12] / LATENT_SIZE, 2)
        return (F.interpolate(means, scale_factor=4).movedim(1, -1) / 2 + 0.5).clamp(0, 1)


class TinyCLIP:
    def tokenize(self, text):
        return text

    def encode_from_tokens_scheduled(self, tokens):
        return conditioning_for("flux", seed=len(tokens))


class _Loader:
    """A loader without inputs, as ComfyUI's V1 nodes are written."""

    RETURN_TYPES: tuple
    FUNCTION = "load"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}


class ModelLoader(_Loader):
    RETURN_TYPES = ("MODEL",)

    def load(self):
        return (tiny_model("flux"),)


class ClipLoader(_Loader):
    RETURN_TYPES = ("CLIP",)

    def load(self):
        return (TinyCLIP(),)


class VaeLoader(_Loader):
    RETURN_TYPES = ("VAE",)

    def load(self):
        return (TinyVAE(),)


NODE_CLASS_MAPPINGS = {
    "StandInModel": ModelLoader,
    "StandInCLIP": ClipLoader,
    "StandInVAE": VaeLoader,
}
