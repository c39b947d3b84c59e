"""The one interface to which every model is reduced before any algorithm sees it."""

from typing import Protocol

import torch

from .schedule import NoiseSchedule


class Denoiser(Protocol):
    """A diffusion model with its conditioning, guidance and feature bound.

    Batches are independent: row i of an output depends on row i of the input alone.
    """

    schedule: NoiseSchedule
    provenance: dict  # str -> str, kept in every basis: "model" (fingerprint), "prompt", "feature"

    def denoise(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Predict x_0. x: (b, c, h, w) in sampler coordinates at noise level sigma. Returns x's shape."""

    def encode(self, z: torch.Tensor, sigma: float) -> torch.Tensor:
        """The map x_t -> h of the paper: z (b, c, h, w) in network coordinates -> features (b, *H).

        Runs the network up to the feature and no further, without classifier-free guidance. Autograd must see how h depends
        on z: a `Jacobian` refuses an h of no dependence, but cannot know of a part that is computed without gradients.
        `jacobian.derivative_errors` finds such a part.
        """


def along(denoiser, sigmas, in_order=False):
    """The denoiser for evaluations on a way of decreasing noise levels, (steps + 1,).

    in_order: whether each level is evaluated once, falling, with no other evaluation in between.
    A host may hold objects that remember the levels they met, such as scheduled patches. Its denoiser has a method `along`
    and takes care of them; any other denoiser is returned as it is.
    """
    prepare = getattr(denoiser, "along", None)
    return denoiser if prepare is None else prepare(sigmas, in_order=in_order)


def predicted_noise(denoiser, z, sigma):
    """eps(z, t) of a denoiser. z: (b, c, h, w) in network coordinates. Returns z's shape."""
    x = denoiser.schedule.from_network(z, sigma)
    return denoiser.schedule.predicted_noise(x, denoiser.denoise(x, sigma), sigma)
