"""The `Denoiser` of a UNet of diffusers."""

from typing import Any

import torch

from ...linalg.autograd_graph import foreign_functions
from ...linalg.check import linearity_error
from ...linalg.precision import without_autocast
from ...rules.constants import WatchedConstants
from ...rules.mode import Differentiable
from ...rules.rule import AUTOGRAD_FUNCTIONS
from ..denoiser import PICTURE, Denoiser
from ..fingerprint import prompt_hash
from ..stop import output_of_block
from .conditioning import expanded, of_single_sample, require_conditioning
from .fingerprint import unet_fingerprint, with_adapters_of
from .pipeline import conditioning_of, text_encoders_of
from .scheduler import prediction_type_of, schedule_of
from .unet import blocks_of, evaluating, require_derivatives, uncompiled, unwrapped

# Largest accepted difference between J v and J^T u. Rounding stays below it.
LINEARITY_TOLERANCE, LINEARITY_TOLERANCE_HALF = 1e-4, 0.02


class DiffusersDenoiser(Denoiser):
    """The `Denoiser` of one UNet under one conditioning, without classifier-free guidance.

    The UNet computes in its own precision, also inside torch.autocast. It runs in evaluation mode, without
    gradient checkpointing and uncompiled. Afterwards its modes and settings are as before. Its weights may be
    offloaded, or cast layer by layer. All weights that `encode` uses stay in memory until the products are
    done.

    Args:
        unet: A UNet2DModel or UNet2DConditionModel. Its attention must be torch's, not that of xformers.
        scheduler: Any scheduler with the `alphas_cumprod` of the model. Its noise levels and its prediction
            type are used, its steps are not.
        conditioning: Keyword arguments of the UNet's call, such as encoder_hidden_states or
            added_cond_kwargs. Every argument that this UNet needs must be there, and every tensor must be of
            batch 1.
        feature: The block whose output `encode` returns: "down_0", "down_1", ..., "middle", "up_0", ...; or
            `PICTURE`, the predicted picture.

    Raises:
        ValueError: The UNet, scheduler, prediction type, conditioning or feature cannot be used.
    """

    def __init__(
        self,
        unet: Any,
        scheduler: Any,
        conditioning: dict[str, Any] | None = None,
        *,
        feature: str = "middle",
    ) -> None:
        self.unet = unwrapped(unet)
        blocks = blocks_of(self.unet)
        if feature != PICTURE and feature not in blocks:
            raise ValueError(
                f"There is no block named {feature!r}; choose {PICTURE} or one of {', '.join(blocks)}."
            )
        schedule = schedule_of(scheduler)
        self.schedule, self._timestep_of = schedule, schedule.timestep
        self._prediction = prediction_type_of(scheduler)
        self.feature, self._block = feature, blocks.get(feature)
        self._checked_functions: set[str] = set()
        self.conditioning = of_single_sample(conditioning or {})
        require_conditioning(self.unet, self.conditioning)
        self.provenance = {"model": unet_fingerprint(self.unet, self.conditioning), "feature": feature}

    @classmethod
    def from_pipeline(
        cls, pipeline: Any, prompt: str = "", *, feature: str = "middle", size: tuple[int, int] | None = None
    ) -> "DiffusersDenoiser":
        """Make the denoiser of a pipeline under a prompt.

        Args:
            pipeline: A pipeline of diffusers with a UNet.
            prompt: One prompt. It must be empty for an unconditional pipeline.
            feature: As in the class.
            size: (height, width) of the picture in pixels, which SDXL is told. None is the size of its
                training.

        Returns:
            The denoiser.

        Raises:
            ValueError: As in the class, and for a pipeline that conditions its UNet on more than a prompt.
        """
        if not hasattr(pipeline, "unet"):
            raise ValueError(
                "A pipeline with a UNet is needed (Stable Diffusion 1, 2, XL, DDPM, DDIM), "
                f"got {type(pipeline).__name__}."
            )
        if not isinstance(prompt, str):
            raise ValueError(
                f"A denoiser has one prompt, a string, got a {type(prompt).__name__}; "
                "make one denoiser for each."
            )
        conditioning = conditioning_of(pipeline, prompt, size)
        denoiser = cls(pipeline.unet, pipeline.scheduler, conditioning, feature=feature)
        model = with_adapters_of(text_encoders_of(pipeline), denoiser.provenance["model"])
        denoiser.provenance |= {"prompt": prompt_hash(prompt), "model": model}
        return denoiser

    def denoise(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Predict x_0. The prediction is never clipped.

        Args:
            x: (b, c, h, w) in sampler coordinates (VE).
            sigma: The noise level of x, at most that of the last timestep.

        Returns:
            The predicted pictures, in x's shape and precision.
        """
        return self._predict(x / self.schedule.scale(sigma), sigma)

    def encode(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Compute the feature h, which autograd can differentiate in x twice.

        Args:
            x: (b, c, h, w) in sampler coordinates (VE).
            sigma: The noise level of x.

        Returns:
            The features, (b, *H) in x's precision; for `PICTURE` the predicted pictures, of x's shape.

        Raises:
            ValueError: The UNet computes with something that has no second derivative.
        """
        require_derivatives(self.unet)
        z = x / self.schedule.scale(sigma)
        constants = WatchedConstants()
        with Differentiable(), constants:
            h = self._encode(z, sigma)
        if constants.overwritten():
            with Differentiable(), WatchedConstants(copies=True):
                h = self._encode(z, sigma)
        self._check_foreign_functions(h, z)
        return h

    def _predict(self, z: torch.Tensor, sigma: float) -> torch.Tensor:
        """x_0 in sampler coordinates (VE), from z (b, c, h, w) in network coordinates (VP)."""
        scale = self.schedule.scale(sigma)
        # A UNet may return more channels than it takes: a learned variance.
        predicted = self._run(z, sigma)[:, : z.shape[1]].to(z)
        if self._prediction == "epsilon":
            return scale * z - sigma * predicted
        if self._prediction == "sample":
            return predicted
        return (z - sigma * predicted) / scale

    def _encode(self, z: torch.Tensor, sigma: float) -> torch.Tensor:
        if self._block is None:
            return self._predict(z, sigma)
        return output_of_block(self._block, self.feature, lambda: self._run(z, sigma)).to(z)

    def _run(self, z: torch.Tensor, sigma: float) -> torch.Tensor:
        """The output of the UNet at z (b, c, h, w), in network coordinates (VP)."""
        if sigma != 0:
            self.schedule.require_level(sigma)
        timestep = self._timestep_of(sigma).round().long().to(z.device).expand(len(z))
        conditioning = expanded(self.conditioning, len(z), z.device, self.unet.dtype)
        with evaluating(self.unet), uncompiled(), without_autocast():
            return self.unet(z.to(self.unet.dtype), timestep, **conditioning, return_dict=False)[0]

    def _check_foreign_functions(self, h: torch.Tensor, z: torch.Tensor) -> None:
        """Compare J v with J^T u, once for each autograd function of another library.

        Such a function may have no second derivative.
        """
        functions = foreign_functions(h, AUTOGRAD_FUNCTIONS) - self._checked_functions
        if not functions:
            return
        try:
            error = linearity_error(h, z)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as reason:
            error = str(reason).strip().splitlines()[0]
        tolerance = LINEARITY_TOLERANCE_HALF if self.unet.dtype.itemsize < 4 else LINEARITY_TOLERANCE
        if not isinstance(error, float) or not error <= tolerance:
            raise ValueError(
                f"The UNet computes with {', '.join(sorted(functions))}, "
                f"which has no usable second derivative ({error}), so there is no basis; "
                "load the UNet without quantisation or other replaced layers."
            )
        self._checked_functions |= functions
