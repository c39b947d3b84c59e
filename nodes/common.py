"""What several nodes share: the basis socket, inputs that mean the same everywhere, sentences for wrong ones."""

from comfy_api.latest import io

CATEGORY = "pullback"
Basis = io.Custom("PULLBACK_BASIS")


def model_input():
    return io.Model.Input("model", tooltip="The diffusion model: SD1.x, SD2.x, SDXL, or the bundled faces model.")


def conditioning_input():
    return io.Conditioning.Input(
        "conditioning", tooltip="What the picture shows, as for a sampler. The same prompt in every node keeps the picture exact."
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
