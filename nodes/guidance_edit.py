import torch
from comfy_api.latest import io

from ..pullback_core import edit_grid
from . import host
from .inputs import (
    CATEGORY,
    Basis,
    conditioning_input,
    direction_input,
    directions_of,
    model_input,
    noisy_latent_input,
    require_noise,
    require_own_basis,
)


class GuidanceEdit(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackGuidanceEdit",
            display_name="X-Space Guidance Edit",
            category=CATEGORY,
            description="Moves a noisy picture along a direction of its basis. Sample it to the end to see the edit.",
            inputs=[
                model_input(),
                conditioning_input(),
                noisy_latent_input(),
                Basis.Input(
                    "basis",
                    tooltip="From Pullback Basis at the same noisy latent, from Parallel Transport, or from a file.",
                ),
                direction_input(),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.05,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How far. Negative goes the other way; 1 is clearly visible, too much breaks the picture.",
                ),
                io.Int.Input(
                    "steps",
                    default=16,
                    min=1,
                    max=200,
                    tooltip="Repetitions of the guidance. The edit grows with them as with the strength, but stays cleaner.",
                ),
                io.Int.Input(
                    "strengths",
                    default=1,
                    min=1,
                    max=16,
                    tooltip="1 makes one picture. More make a batch, evenly from -strength to +strength.",
                ),
                io.Int.Input(
                    "directions",
                    default=1,
                    min=1,
                    max=64,
                    tooltip="1 takes the direction alone. More make a batch of it and the ones after it.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where the step may act. Without one, the latent's own mask counts, and the rest stays the picture.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="LATENT",
                    tooltip="The edited noisy latents. Samplers continue with add_noise off.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, model, conditioning, latent, basis, direction, strength, steps, strengths, directions, mask=None
    ):
        along = directions_of(basis, direction, directions)
        amounts = [strength] if strengths == 1 else torch.linspace(-strength, strength, strengths).tolist()
        keeps = mask is None and any(host.kept_parts(latent))
        ends = 50 if keeps else 100  # where the bar stands when the edits are made
        bar = host.Progress(100)

        def work(denoiser, noisy):
            require_own_basis(denoiser, basis, latent, noisy)
            require_noise(denoiser, latent, noisy)
            size = denoiser.evaluation_batch_size(noisy.x.shape[1:])
            masks = host.mask_of(mask, latent, noisy.x)
            edits = []
            for number in range(len(noisy)):
                edits.append(
                    edit_grid(
                        denoiser,
                        noisy[number],
                        along.to(noisy.x),
                        amounts,
                        steps=steps,
                        batch_size=size,
                        mask=None if masks is None else masks[number],
                        progress=lambda done, total, number=number: bar.update(
                            ends * (number * total + done) // (len(noisy) * total)
                        ),
                    )
                )
            if keeps:
                edits = host.with_kept_parts(
                    denoiser, edits, latent, size, lambda done, total: bar.update(50 + 50 * done // total)
                )
            return noisy, noisy.with_x(torch.cat([edit.x for edit in edits]))

        sigmas = torch.tensor([basis.sigma, 0.0], dtype=torch.float64)  # the level alone counts here
        noisy, edited = host.while_sampling(model, conditioning, latent, work, sigmas=sigmas)
        return io.NodeOutput(host.noisy_latent(model, edited, latent, host.edited_origins(latent, noisy)))
