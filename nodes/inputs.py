"""What several nodes share: the basis socket, inputs that mean the same everywhere, sentences for wrong ones."""

import math
from dataclasses import replace

from comfy_api.latest import io

from ..pullback_core.models.fingerprint import are_same_picture
from ..pullback_core.noisy import lacks_noise
from . import host

CATEGORY = "pullback"
AS_LOADED, FLOAT32 = "as the model", "float32"
# Of a latent's norm. On the bundled faces, up to the first no pixel differs by more than 12 of 255, up to the second by 31.
NO_DIFFERENCE, SMALL_DIFFERENCE = 0.025, 0.08
SAME_LEVEL = 1e-3  # of a noise level: two that differ by less are one
Basis = io.Custom("PULLBACK_BASIS")


def model_input():
    return io.Model.Input(
        "model",
        tooltip="The diffusion model: SD1.x, SD2.x, SDXL, Flux, Chroma, SD3, Qwen-Image, Z-Image, HiDream, Hunyuan Image, Ernie "
        "Image, Anima and others that the README lists, or the bundled faces model.",
    )


def conditioning_input():
    return io.Conditioning.Input(
        "conditioning",
        tooltip="What the picture shows, as for a sampler. It comes back if DDIM Invert and the sampler have the same.",
    )


def clean_latent_input():
    return io.Latent.Input("latent", tooltip="The clean picture, from VAE Encode.")


def refine_input():
    return io.Int.Input(
        "refine",
        default=4,
        min=0,
        max=20,
        tooltip="Corrections of each step. 0 is fast and inexact; with 4 no error is left to see.",
    )


def noisy_latent_input():
    return io.Latent.Input(
        "latent",
        tooltip="The noisy latent, from DDIM Invert or a sampler that leaves noise in it. Never that of VAE Encode.",
    )


def sigmas_input():
    return io.Sigmas.Input(
        "sigmas", tooltip="The way back from DDIM Invert; its first value says how noisy the latent is."
    )


def direction_input():
    return io.Int.Input(
        "direction",
        default=1,
        min=1,
        max=64,
        tooltip="Which direction of the basis, counted from 1, the strongest. Look at them in the Basis Visualizer.",
    )


def rank_input():
    return io.Int.Input(
        "rank",
        default=8,
        min=1,
        max=64,
        tooltip="How many directions to find. Twice as many take twice as long.",
    )


def tolerance_input():
    return io.Float.Input(
        "tolerance",
        default=0.01,
        min=1e-5,
        max=0.5,
        step=1e-5,
        round=1e-6,
        tooltip="The largest error of a direction, as a fraction of the strongest. Smaller takes longer.",
    )


def seed_input():
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=2**63 - 1,
        control_after_generate=False,
        tooltip="Of the vectors the search starts from. The directions do not depend on it, beyond the tolerance.",
    )


def feature_input():
    return io.String.Input(
        "feature",
        default="middle",
        tooltip="The block whose response counts: middle (a UNet's bottleneck, a transformer's half depth), or one offered after a run.",
    )


def precision_input():
    return io.Combo.Input(
        "precision",
        options=[AS_LOADED, FLOAT32],
        default=AS_LOADED,
        tooltip="float32 computes more exactly, and needs more memory and time, if the model is in half precision.",
    )


def offered(model):
    """What tells the page which blocks the model has; see web/js/features.js."""
    return {"pullback_features": host.features_of(model)}


def directions_of(basis, first, count=1):
    """Directions `first`, counted from 1, and the ones after it: (count, c, h, w). Raises ValueError beyond the rank."""
    last = first + count - 1
    if last > basis.rank:
        raise ValueError(
            f"This basis has directions 1 to {basis.rank}, got {last}; compute a basis of higher rank."
        )
    return basis.v[first - 1 : last]


def first_level(model, sigmas):
    """The noise level of a noisy latent. Raises ValueError for a way back that starts at nothing, or at a level that the model lacks."""
    if len(sigmas) < 2 or sigmas[0] == 0:
        raise ValueError(
            f"The SIGMAS start without noise ({[float(value) for value in sigmas[:3]]}); connect those of DDIM Invert."
        )
    return host.schedule_of(model).require_level(sigmas[0])


def only_one(latent):
    """Refuse a batch where one picture is meant."""
    if len(latent["samples"]) != 1:
        raise ValueError(
            f"The latent holds {len(latent['samples'])} pictures, and a basis belongs to one; pick one with Latent From Batch."
        )


def require_same_level(latent, sigma):
    """Refuse a LATENT that is known to have another noise level than the SIGMAS."""
    for origin in host.origins_of(latent):
        if origin and not _are_same_level(origin.sigma, sigma):
            raise ValueError(
                f"The SIGMAS start at noise level {sigma:.4g}, and the latent has level {origin.sigma:.4g}; "
                "connect the SIGMAS of the DDIM Invert that made this latent."
            )


def require_noise(denoiser, latent, noisy):
    """Refuse clean pictures where noisy ones are meant. noisy: the LATENT as a `NoisyLatent`."""
    without = lacks_noise(noisy, denoiser.schedule)
    if any(lacks and origin is None for lacks, origin in zip(without, host.origins_of(latent))):
        raise ValueError(
            f"The latent is a clean picture, without the noise of level {noisy.sigma:.4g}; "
            "connect the LATENT of DDIM Invert in the place of that of VAE Encode."
        )


def require_own_basis(denoiser, basis, latent, noisy):
    """Refuse a basis that is known to be of another model, noise level or picture than the noisy LATENT.

    noisy: the LATENT as a `NoisyLatent`.
    """
    if basis.v.shape[1:] != noisy.x.shape[1:]:
        return  # the edit refuses it for its size
    model = basis.provenance.get("model", denoiser.provenance["model"])
    if model != denoiser.provenance["model"]:
        raise ValueError(
            f"The basis is of another model ({model}) than the connected one ({denoiser.provenance['model']}); connect the "
            "model that the basis was made with, with the same LoRAs, or compute a basis with this one."
        )
    if not _are_same_level(basis.sigma, noisy.sigma):
        raise ValueError(
            f"The basis is of noise level {basis.sigma:.4g}, and the SIGMAS start at {noisy.sigma:.4g}; "
            "connect the LATENT and the SIGMAS that the basis was computed from."
        )
    for origin in filter(None, host.origins_of(latent)):
        if not _are_same_level(origin.sigma, basis.sigma):
            raise ValueError(
                f"The basis is of noise level {basis.sigma:.4g}, and the latent has level {origin.sigma:.4g}; "
                "connect a Pullback Basis of this latent and its SIGMAS."
            )
        if not are_same_picture(origin.picture, basis.provenance.get("picture", "")):
            raise ValueError(
                "The basis is of another picture than the latent; connect a Pullback Basis of this latent, "
                "or carry the direction over with Parallel Transport."
            )


def _are_same_level(one, other):
    return abs(one - other) <= SAME_LEVEL * max(one, other)


def kept_parts(latent):
    """What a noisy LATENT's mask keeps of each picture. Refuses a mask on a latent whose picture is unknown."""
    parts = host.kept_parts(latent)
    if latent.get("noise_mask") is not None and None in parts:
        raise ValueError(
            "The latent has a mask, but it is unknown what the picture below it was; connect the LATENT of DDIM Invert or of "
            "X-Space Guidance Edit."
        )
    return parts


def of_picture(basis, picture):
    """The basis, which says from now on which picture it belongs to. picture: a fingerprint, or "" if it is unknown."""
    return replace(basis, provenance={**basis.provenance, "picture": picture}) if picture else basis


def recovered(error):
    """How a round trip went, in words. error: the relative error of its latent."""
    if not math.isfinite(error):
        return "recovered nothing: the round trip left numbers that are not finite"
    digits = 1 if error >= 0.01 else min(6, 1 - math.floor(math.log10(100 * max(error, 1e-9))))
    share = f"recovered {max(0.0, 100 - 100 * error):.{digits}f}%"
    if error <= NO_DIFFERENCE:
        return f"{share}: no difference to see"
    if error <= SMALL_DIFFERENCE:
        return f"{share}: small differences; more steps or refine bring it nearer"
    return f"{share}: another picture comes back; raise steps and refine, and use one prompt for all nodes"


def noisy_already(latent):
    """What to say of a LATENT that should be clean and is known to be noisy. Empty for all others."""
    if not any(host.origins_of(latent)):
        return ""
    return "; this latent is noisy already: connect that of VAE Encode"


def on_cpu(basis):
    """A basis that holds no memory of the model's device while it waits in the host's cache."""
    return replace(basis, **{name: getattr(basis, name).cpu() for name in ("v", "s", "u", "residuals")})
