import torch
from comfy_api.latest import io

from . import host
from .checks import require_directions, require_noise, require_own_basis
from .inputs import (
    CATEGORY,
    GUIDANCE,
    SEEN,
    Basis,
    conditioning_input,
    count_input,
    direction_input,
    guidance_steps_input,
    model_input,
    noisy_latent_input,
    strength_input,
    unit_input,
)
from .ui import SENT_AGAIN, missed_strengths, shown_text


class GuidanceEdit(io.ComfyNode):
    MENU_POSITION = 30

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackGuidanceEdit",
            display_name="X-Space Guidance Edit",
            category=CATEGORY,
            description="Moves a noisy picture along a direction of its basis. Sample it to the end to "
            "see the edit.",
            inputs=[
                model_input(),
                conditioning_input(),
                noisy_latent_input(),
                Basis.Input(
                    "basis",
                    tooltip="From Pullback Basis at the same noisy latent, from Parallel Transport, or "
                    "from a file.",
                ),
                direction_input(),
                strength_input(
                    "How far. Negative goes the other way; 1 is clearly visible, too much breaks the "
                    "picture.",
                    smallest=-10.0,
                ),
                guidance_steps_input(
                    "Repetitions of the guidance. The edit grows with them as with the strength, but "
                    "stays cleaner."
                ),
                count_input(
                    "strengths",
                    "1 makes one picture. More make a batch, evenly from -strength to +strength.",
                    largest=16,
                ),
                count_input(
                    "directions",
                    "1 takes the direction alone. More make a batch of it and the ones after it.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the step may act. Without one, the latent's own mask counts, and the "
                    "rest stays the picture.",
                ),
                unit_input(),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="LATENT",
                    tooltip="The edited noisy latents. Samplers continue with add_noise off.",
                )
            ],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        model,
        conditioning,
        latent,
        basis,
        direction,
        strength,
        steps,
        strengths,
        directions,
        mask=None,
        unit=GUIDANCE,
    ):
        chosen = require_directions(basis, direction, directions)
        amounts = host.even_strengths(strength, strengths)
        bar = host.Progress(100)
        told = {}  # of the node's ui

        def work(denoiser, noisy):
            require_own_basis(denoiser, basis, latent, noisy)
            require_noise(denoiser, latent, noisy)
            calibrated, start = None, 0
            if unit == SEEN:
                start = 50
                calibrated = host.calibrate(
                    denoiser, noisy, chosen, amounts, latent, progress=bar.part(0, start), mask=mask
                )
                told.update(shown_text(cls, _report(direction, amounts, calibrated)))
            return noisy, host.edit_and_keep(
                denoiser,
                noisy,
                chosen,
                amounts,
                latent,
                progress=bar.part(start, 100),
                mask=mask,
                steps=steps,
                calibrated=calibrated,
            )

        sigmas = torch.tensor([basis.sigma, 0.0], dtype=torch.float64)  # only the noise level counts here
        noisy, edited = host.while_sampling(model, conditioning, latent, work, sigmas=sigmas)
        result = host.noisy_latent(model, edited, latent, host.edited_origins(latent, noisy))
        return io.NodeOutput(result, ui=told or None)


def _report(first, amounts, calibrated):
    """Which strengths were missed, of every picture. first: the number of the first direction."""
    lines = []
    for found in calibrated:
        for row, reached in enumerate(found.reached):
            missed = missed_strengths(amounts, reached)
            if missed:
                lines.append(f"direction {first + row}: {missed}")
    return "; ".join(lines) or "every strength is reached"
