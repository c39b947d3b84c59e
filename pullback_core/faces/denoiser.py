"""The `Denoiser` of the bundled model."""

import torch

from ..models.denoiser import PICTURE, Denoiser
from ..models.fingerprint import prompt_hash
from ..models.stop import output_of_block
from ..rules.mode import Differentiable
from .model import FacesModel


class FacesDenoiser(Denoiser):
    """The `Denoiser` of the bundled model under one prompt.

    Args:
        model: The model.
        prompt: Comma-separated phrases of `vocabulary`; "" for none.
        guidance: The scale of classifier-free guidance; 1 is none. It changes `denoise`, not `encode`.
        feature: The block whose output `encode` returns, one of `model.unet.feature_names`; or `PICTURE`, the
            predicted picture.

    Raises:
        ValueError: There is no such block, or the model does not know a word of the prompt.
    """

    def __init__(
        self, model: FacesModel, prompt: str = "", *, guidance: float = 1.0, feature: str = "middle"
    ) -> None:
        blocks = model.unet.blocks()
        if feature != PICTURE and feature not in blocks:
            raise ValueError(
                f"There is no block named {feature!r}; choose {PICTURE} or one of {', '.join(blocks)}."
            )
        self.model, self.schedule = model, model.schedule
        self.guidance, self.feature, self._block = guidance, feature, blocks.get(feature)
        self.context = model.context([prompt])
        self.empty_context = model.context([""])
        self.provenance = {
            "model": model.fingerprint,
            "prompt": prompt_hash(prompt),
            "feature": feature,
        }

    def denoise(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Predict x_0 from the velocity of the network.

        Args:
            x: (b, 27, h, w) in sampler coordinates (VE).
            sigma: The noise level of x.

        Returns:
            The predicted latents, of x's shape.
        """
        scale = self.schedule.scale(sigma)
        z = x / scale
        velocity = self._velocity(z, sigma, self.context)
        if self.guidance != 1:
            empty = self._velocity(z, sigma, self.empty_context)
            velocity = empty + self.guidance * (velocity - empty)
        return _predicted_picture(z, velocity, sigma, scale)

    def encode(self, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """Compute the feature h.

        Args:
            x: (b, 27, h, w) in sampler coordinates (VE).
            sigma: The noise level of x.

        Returns:
            The output of the block, (b, c, h', w'); for `PICTURE` the predicted latents, of x's shape.
        """
        scale = self.schedule.scale(sigma)
        z = x / scale
        with Differentiable():
            if self._block is None:
                velocity = self._velocity(z, sigma, self.context)
                return _predicted_picture(z, velocity, sigma, scale)
            return output_of_block(self._block, self.feature, lambda: self._velocity(z, sigma, self.context))

    def _velocity(self, z: torch.Tensor, sigma: float, context: torch.Tensor) -> torch.Tensor:
        """The output of the UNet at z (b, 27, h, w), in network coordinates (VP)."""
        timestep = self.model.schedule.timestep(sigma).round().to(device=z.device, dtype=torch.float32)
        return self.model.unet(z, timestep.expand(len(z)), context.expand(len(z), -1, -1))


def _predicted_picture(z: torch.Tensor, velocity: torch.Tensor, sigma: float, scale: float) -> torch.Tensor:
    """x_0 from the velocity at z, in network coordinates (Salimans and Ho 2022, appendix D)."""
    return (z - sigma * velocity) / scale
