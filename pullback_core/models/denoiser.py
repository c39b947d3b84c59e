"""The one interface to which every model is reduced before any algorithm sees it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch

from .schedule import NoiseSchedule

PICTURE = "picture"  # the name of the feature that is the predicted picture; every model has it


class ProductLimits(NamedTuple):
    """How many Jacobian products fit into memory.

    Attributes:
        batch_size: Products that run at once; None runs all that are asked for.
        offload: Keep activations in main memory between products, see `Jacobian`.
        resident: Tensors that are not offloaded, such as weights, because they are on the device anyway.
    """

    batch_size: int | None = None
    offload: bool = False
    resident: Sequence[torch.Tensor] = ()


class Denoiser(ABC):
    """A diffusion model with its conditioning, guidance and feature bound.

    Latents are in sampler coordinates everywhere here: VE for eps- and v-prediction, see `schedule`.
    Batches are independent: row i of an output depends on row i of the input alone.

    Attributes:
        schedule: The noise levels of the model.
        provenance: str -> str, kept in every basis: "model" (a fingerprint), "prompt", "feature".
    """

    schedule: NoiseSchedule
    provenance: dict[str, str]

    @abstractmethod
    def denoise(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Predict x_0.

        Args:
            x: (b, c, h, w) in sampler coordinates.
            sigma: The noise level of x.

        Returns:
            The predicted pictures, of x's shape.
        """

    @abstractmethod
    def encode(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Compute the feature h, the map x_t -> h of Park et al. 2023.

        The network runs up to the feature and no further, without classifier-free guidance. The feature
        `PICTURE` is the predicted x_0, in sampler coordinates and of x's shape. Autograd must
        see how h depends on x. A `Jacobian` refuses an h that does not depend on x at all, but it cannot
        notice a part that is computed without gradients: `linalg.check.derivative_errors` finds such a part.

        Args:
            x: (b, c, h, w) in sampler coordinates.
            sigma: The noise level of x.

        Returns:
            The features, (b, *H).
        """

    def along(self, sigmas: torch.Tensor, in_order: bool = False) -> "Denoiser":
        """Prepare for evaluations at these noise levels.

        A host may hold objects that remember the levels they met, such as scheduled patches. Its denoiser
        overrides this method and takes care of them.

        Args:
            sigmas: (steps + 1,) decreasing noise levels.
            in_order: Each level is evaluated once, in falling order, with no other evaluation in between.

        Returns:
            The denoiser to use at these levels.
        """
        return self

    def depends_on_start(self, schedules: Sequence[torch.Tensor], x0: torch.Tensor) -> bool:
        """Tell whether a noise level is evaluated differently when sampling starts at another level.

        Args:
            schedules: Decreasing noise levels of several samplings with the same end, the longest first.
            x0: (b, c, h, w), the clean picture in sampler coordinates.

        Returns:
            False, except for hosts with objects that remember levels.
        """
        return False

    def product_limits(self, latent_shape: tuple[int, ...]) -> ProductLimits:
        """How many Jacobian products of latents (c, h, w) fit into memory.

        Args:
            latent_shape: (c, h, w).

        Returns:
            The limits; without a host, none.
        """
        return ProductLimits()
