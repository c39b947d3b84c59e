"""Loaders of tiny models in the place of Flux.1 dev's. test_server.py installs this as a node pack."""

import torch.nn.functional as F

from .tiny_models import FLOW_CHANNELS, conditioning_for, tiny_model

LATENT_SIZE = 3.0  # about what the model takes for unit variance


class TinyVAE:
    """Means of 4 x 4 pixels, four of them to a latent pixel."""

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


def _loader(kind, load):
    return type(
        f"StandIn{kind}",
        (),
        {
            "INPUT_TYPES": classmethod(lambda cls: {"required": {}}),
            "RETURN_TYPES": (kind,),
            "FUNCTION": "load",
            "CATEGORY": "test",
            "load": lambda self: (load(),),
        },
    )


NODE_CLASS_MAPPINGS = {
    "StandInModel": _loader("MODEL", lambda: tiny_model("flux")),
    "StandInCLIP": _loader("CLIP", TinyCLIP),
    "StandInVAE": _loader("VAE", TinyVAE),
}
