"""What several nodes share: the basis socket, inputs that mean the same everywhere, sentences for wrong ones."""

from dataclasses import replace

from comfy_api.latest import io

from . import host

CATEGORY = "pullback"
AS_LOADED, FLOAT32 = "as the model", "float32"
Basis = io.Custom("PULLBACK_BASIS")


def model_input():
    return io.Model.Input(
        "model", tooltip="The diffusion model: SD1.x, SD2.x, SDXL, Flux, SD3, Qwen-Image and others, or the bundled faces model."
    )


def conditioning_input():
    return io.Conditioning.Input(
        "conditioning", tooltip="What the picture shows, as for a sampler. The same prompt in every node keeps the picture exact."
    )


def clean_latent_input():
    return io.Latent.Input("latent", tooltip="The clean picture, from VAE Encode.")


def refine_input():
    return io.Int.Input(
        "refine", default=4, min=0, max=20, tooltip="Corrections of each step. 0 is fast and inexact; with 4 no error is left to see."
    )


def noisy_latent_input():
    return io.Latent.Input("latent", tooltip="The noisy latent, from DDIM Invert or a sampler that leaves noise in it.")


def sigmas_input():
    return io.Sigmas.Input("sigmas", tooltip="The way back from DDIM Invert; its first value says how noisy the latent is.")


def direction_input():
    return io.Int.Input(
        "direction", default=1, min=1, max=64,
        tooltip="Which direction of the basis, counted from 1, the strongest. Look at them in the Basis Visualizer.",
    )


def rank_input():
    return io.Int.Input("rank", default=8, min=1, max=64, tooltip="How many directions to find. Twice as many take twice as long.")


def tolerance_input():
    return io.Float.Input(
        "tolerance", default=0.01, min=1e-5, max=0.5, step=1e-5, round=1e-6,
        tooltip="The largest error of a direction, as a fraction of the strongest. Smaller takes longer.",
    )


def seed_input():
    return io.Int.Input(
        "seed", default=0, min=0, max=2**63 - 1, control_after_generate=False,
        tooltip="Of the vectors the search starts from. The directions do not depend on it, beyond the tolerance.",
    )


def feature_input():
    return io.String.Input(
        "feature", default="middle",
        tooltip="The block whose response counts: middle (a UNet's bottleneck, a transformer's half depth), or one offered after a run.",
    )


def precision_input():
    return io.Combo.Input(
        "precision", options=[AS_LOADED, FLOAT32], default=AS_LOADED,
        tooltip="float32 computes more exactly, and needs more memory and time, if the model is in half precision.",
    )


def offered(model):
    """What tells the page which blocks the model has; see web/js/features.js."""
    return {"pullback_features": host.features_of(model)}


def directions_of(basis, first, count=1):
    """Directions `first`, counted from 1, and the ones after it: (count, c, h, w). Raises ValueError beyond the rank."""
    last = first + count - 1
    if last > basis.rank:
        raise ValueError(f"This basis has directions 1 to {basis.rank}, got {last}; compute a basis of higher rank.")
    return basis.v[first - 1 : last]


def first_level(sigmas):
    """The noise level of a noisy latent. Raises ValueError for a way back that starts at nothing."""
    if len(sigmas) < 2 or not sigmas[0] > 0:
        raise ValueError(f"The SIGMAS start without noise ({[float(value) for value in sigmas[:3]]}); connect those of DDIM Invert.")
    return float(sigmas[0])


def only_one(latent):
    """Refuse a batch where one picture is meant."""
    if len(latent["samples"]) != 1:
        raise ValueError(
            f"The latent holds {len(latent['samples'])} pictures, and a basis belongs to one; pick one with Latent From Batch."
        )


def on_cpu(basis):
    """A basis that holds no memory of the model's device while it waits in the host's cache."""
    return replace(basis, **{name: getattr(basis, name).cpu() for name in ("v", "s", "u", "residuals")})
