"""The bundled faces model as MODEL, VAE, CONDITIONING and IMAGE.

The model's code is imported when a node needs it, so that ComfyUI starts faster.
"""

import logging

import torch

from .images import core_to_image
from .progress import show_status

# The model serves pictures whose shorter side is so many times that of its training pictures.
SMALLEST, LARGEST = 0.75, 1.5


def load_faces():
    """The bundled model as (MODEL, VAE)."""
    from .faces_model import make_model, make_vae

    return make_model(), make_vae()


def encode_words(text):
    """Words of the bundled model -> CONDITIONING. Raises ValueError for a word that it does not know."""
    from .faces_model import bundled_model

    with torch.no_grad():
        return [[bundled_model().context([text]), {}]]


def example_faces(number, count):
    """Drawn faces that the bundled model has never seen, from a number on, as a batch of IMAGE."""
    from ...pullback_core import faces

    return core_to_image(faces.example_faces(range(number, number + count)))


def advice_on_size(node, model, latent):
    """Advise the user where a picture has another size than the model was trained on.

    The advice is shown under the node and logged.

    Args:
        node: The class of the running node.
        model: MODEL.
        latent: LATENT.

    Returns:
        The advice, "" for a size that serves and for models whose training size is unknown.
    """
    latent_format = model.get_model_object("latent_format")
    known = getattr(latent_format, "trained_side", None)
    if known is None:
        return ""
    height, width = latent["samples"].shape[-2:]
    if SMALLEST * known <= min(height, width) <= LARGEST * known:
        return ""
    side, pixels = known * latent_format.pixels, latent_format.pixels
    text = (
        f"This model knows pictures of {side} x {side} pixels, and this one has "
        f"{width * pixels} x {height * pixels}. "
        f"Scale it so that its shorter side has {side} pixels before VAE Encode."
    )
    if height * width > 2 * known**2:
        times = height * width / known**2
        text += f" As it is, each step takes about {times:.0f} times as long, and edits will hardly be faces."
    logging.warning("%s", text)
    show_status(node, text)
    return text
