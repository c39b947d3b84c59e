import torch
from comfy_api.latest import io, ui

from ..pullback_core import ddim, edit_grid, figures
from . import host
from .inputs import (
    CATEGORY,
    Basis,
    conditioning_input,
    direction_input,
    directions_of,
    first_level,
    model_input,
    noisy_latent_input,
    only_one,
    require_noise,
    require_own_basis,
    require_same_level,
    sigmas_input,
)

FAST, FULL = "fast", "full"


class BasisVisualizer(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackBasisVisualizer",
            display_name="Basis Visualizer",
            category=CATEGORY,
            description="Shows what the directions of a basis do, as a sheet of directions and strengths.",
            inputs=[
                Basis.Input(
                    "basis", tooltip="The basis to look at, from Pullback Basis at the same noisy latent."
                ),
                model_input(),
                conditioning_input(),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
                noisy_latent_input(),
                sigmas_input(),
                io.Combo.Input(
                    "mode",
                    options=[FAST, FULL],
                    default=FAST,
                    tooltip="fast: a rough forecast, one look of the model at each edit. full: each edit sampled to the end.",
                ),
                direction_input(),
                io.Int.Input(
                    "directions",
                    default=5,
                    min=1,
                    max=64,
                    tooltip="How many rows: this direction and the ones after it.",
                ),
                io.Int.Input(
                    "strengths",
                    default=5,
                    min=2,
                    max=15,
                    tooltip="How many columns, evenly from -strength to +strength.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.05,
                    max=10.0,
                    step=0.05,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How far the outermost columns go, as in X-Space Guidance Edit.",
                ),
                io.Int.Input(
                    "steps",
                    default=16,
                    min=1,
                    max=200,
                    tooltip="Repetitions of the guidance, as in X-Space Guidance Edit.",
                ),
                io.Int.Input(
                    "cell",
                    default=192,
                    min=32,
                    max=1024,
                    tooltip="Width of a picture on the sheet, in pixels.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="sheet", tooltip="Directions by strengths."),
                io.Image.Output(
                    display_name="spectrum",
                    tooltip="The singular values: how strongly the model reacts to each direction.",
                ),
                io.Image.Output(
                    display_name="maps",
                    tooltip="The directions themselves, one picture each: where and how they act.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        basis,
        model,
        conditioning,
        vae,
        latent,
        sigmas,
        mode,
        direction,
        directions,
        strengths,
        strength,
        steps,
        cell,
    ):
        sigma = first_level(model, sigmas)
        only_one(latent)
        require_same_level(latent, sigma)
        along = directions_of(basis, direction, min(directions, max(1, basis.rank + 1 - direction)))
        numbers = range(direction, direction + len(along))
        amounts = torch.linspace(-strength, strength, strengths).tolist()
        bar = host.Progress(100)  # without previews: in the page they would hide the sheet

        def work(denoiser, noisy):
            require_own_basis(denoiser, basis, latent, noisy)
            require_noise(denoiser, latent, noisy)
            size = denoiser.evaluation_batch_size(noisy.x.shape[1:])
            edits = edit_grid(
                denoiser,
                noisy,
                along.to(noisy.x),
                amounts,
                steps=steps,
                quick=mode == FAST,
                mask=host.mask_of(None, latent, noisy.x),
                batch_size=size,
                progress=lambda done, total: bar.update(50 * done // total, 100),
            )
            moved = edits.x.split(size or len(edits))
            finished, keeping = [], host.MaskedDenoiser(denoiser, host.kept_parts(latent))
            for number, part in enumerate(moved):
                if mode == FAST:
                    finished.append(keeping.denoise(part, noisy.sigma))
                else:
                    finished.append(ddim.generate(keeping, noisy.with_x(part)))
                bar.update(50 + 50 * (number + 1) // len(moved), 100)
            return torch.cat(finished)

        finished = host.while_sampling(model, conditioning, latent, work, sigmas=sigmas)
        pictures = host.image_to_core(vae.decode(host.clean_latent(model, finished)["samples"]))
        rows = [
            (f"direction {number}", pictures[row * strengths : (row + 1) * strengths])
            for row, number in enumerate(numbers)
        ]
        sheet = figures.contact_sheet(
            rows,
            figures.number_labels(amounts, sign=True),
            cell=cell,
            row_notes=[f"singular value {basis.s[number - 1]:.3g}" for number in numbers],
            title=f"Directions at {basis.timestep:.4g} T",
        )
        sheet = host.pil_to_image([sheet])
        spectrum = host.plot_of(figures.singular_value_plot, basis)
        maps = host.pil_to_image(
            [figures.to_pil(host.direction_preview(model, vector), 2 * cell) for vector in along]
        )
        return io.NodeOutput(sheet, spectrum, maps, ui=ui.PreviewImage(sheet, cls=cls))
