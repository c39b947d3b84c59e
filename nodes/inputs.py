"""Sockets that several nodes have. Each is built by one function, so that it means the same in every node."""

from comfy_api.latest import io

CATEGORY = "pullback"
AS_LOADED, FLOAT32 = "as the model", "float32"  # the options of `precision_input`
GUIDANCE, SEEN = "guidance", "picture"  # the options of `unit_input`
Basis = io.Custom("PULLBACK_BASIS")


def model_input():
    return io.Model.Input(
        "model",
        tooltip="The diffusion model: SD1.x, SD2.x, SDXL, Flux, Chroma, SD3, Qwen-Image, Z-Image, HiDream, "
        "Hunyuan Image, Ernie Image, Anima and others that the README lists, or the bundled faces model.",
    )


def conditioning_input():
    return io.Conditioning.Input(
        "conditioning",
        tooltip="What the picture shows, as for a sampler. It comes back if DDIM Invert and the sampler "
        "have the same.",
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
        tooltip="The noisy latent, from DDIM Invert or a sampler that leaves noise in it. Never that of "
        "VAE Encode.",
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
        tooltip="Which direction of the basis, counted from 1, the strongest. Look at them in the Basis "
        "Visualizer.",
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
        tooltip="Of the vectors the search starts from. The directions do not depend on it, beyond the "
        "tolerance.",
    )


def feature_input():
    return io.String.Input(
        "feature",
        default="middle",
        tooltip="What the directions change most: picture (what the model predicts), middle (a UNet's "
        "bottleneck, a transformer's half depth), or a block offered after a run.",
    )


def precision_input():
    return io.Combo.Input(
        "precision",
        options=[AS_LOADED, FLOAT32],
        default=AS_LOADED,
        tooltip="float32 computes more exactly, and needs more memory and time, if the model is in half "
        "precision.",
    )


def count_input(name, tooltip, *, default=1, smallest=1, largest=64, optional=False):
    return io.Int.Input(name, default=default, min=smallest, max=largest, optional=optional, tooltip=tooltip)


def strength_input(tooltip, *, smallest):
    return io.Float.Input(
        "strength",
        default=1.0,
        min=smallest,
        max=10.0,
        step=0.05,
        display_mode=io.NumberDisplay.slider,
        tooltip=tooltip,
    )


def guidance_steps_input(tooltip):
    return count_input("steps", tooltip, default=16, largest=200)


def unit_input():
    return io.Combo.Input(
        "unit",
        options=[GUIDANCE, SEEN],
        default=GUIDANCE,
        optional=True,
        tooltip="guidance: strength counts the steps of the guidance. picture: 1 is one clearly visible "
        "change of the picture, the same for every direction, time and model; steps are not used.",
    )
