from comfy_api.latest import io, ui

from ..pullback_core import figures
from ..pullback_core.basis_checks import SINGULAR
from . import host
from .checks import (
    require_directions,
    require_noise,
    require_own_basis,
    require_single_noisy_latent,
)
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
    sigmas_input,
    strength_input,
    unit_input,
)
from .ui import missed_strengths, range_note

FAST, FULL = "fast", "full"


class BasisVisualizer(io.ComfyNode):
    MENU_POSITION = 50

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
                *_sheet_inputs(),
                unit_input(),
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
        unit=GUIDANCE,
    ):
        require_single_noisy_latent(model, latent, sigmas)
        available = max(1, basis.rank + 1 - direction)
        chosen = require_directions(basis, direction, min(directions, available))
        amounts = host.even_strengths(strength, strengths)
        bar = host.Progress(100)  # without previews: in the page they would hide the sheet

        def work(denoiser, noisy):
            require_own_basis(denoiser, basis, latent, noisy)
            require_noise(denoiser, latent, noisy)
            if unit == SEEN:
                return _by_picture(denoiser, noisy, chosen, amounts, latent, mode == FAST, bar)
            [edits] = host.edit_pictures(
                denoiser,
                noisy,
                chosen,
                amounts,
                latent,
                progress=bar.part(0, 50),
                steps=steps,
                quick=mode == FAST,
            )
            finished = host.finish_edits(
                denoiser, edits, latent, progress=bar.part(50, 100), forecast=mode == FAST
            )
            return finished, [""] * chosen.rank

        finished, notes = host.while_sampling(model, conditioning, latent, work, sigmas=sigmas)
        pictures = host.image_to_core(vae.decode(host.clean_latent(model, finished)["samples"]))
        sheet = _sheet(chosen, direction, amounts, pictures, notes, cell)
        spectrum = host.plot_of(figures.singular_value_plot, basis)
        maps = [figures.to_pil(host.direction_preview(model, vector), 2 * cell) for vector in chosen.v]
        return io.NodeOutput(sheet, spectrum, host.pil_to_image(maps), ui=ui.PreviewImage(sheet, cls=cls))


def _sheet_inputs():
    """What the sheet shows, and how."""
    return [
        io.Combo.Input(
            "mode",
            options=[FAST, FULL],
            default=FAST,
            tooltip="fast: a rough forecast, one look of the model at each edit. full: each edit sampled "
            "to the end.",
        ),
        direction_input(),
        count_input("directions", "How many rows: this direction and the ones after it.", default=5),
        count_input(
            "strengths",
            "How many columns, evenly from -strength to +strength.",
            default=5,
            smallest=2,
            largest=15,
        ),
        strength_input("How far the outermost columns go, as in X-Space Guidance Edit.", smallest=0.05),
        guidance_steps_input("Repetitions of the guidance, as in X-Space Guidance Edit."),
        count_input(
            "cell", "Width of a picture on the sheet, in pixels.", default=192, smallest=32, largest=1024
        ),
    ]


def _by_picture(denoiser, noisy, chosen, amounts, latent, quick, bar):
    """The finished pictures of a sheet in units of what is seen, and a note for each row."""
    ranges = host.straight_ranges(denoiser, noisy, chosen, progress=bar.part(0, 30), quick=quick)
    notes = [range_note(ends) for ends in ranges]
    if quick and chosen.knows_pictures():
        return host.preview_pictures(denoiser, noisy, chosen, amounts, latent), notes
    found = host.calibrate(denoiser, noisy, chosen, amounts, latent, progress=bar.part(30, 60), quick=quick)
    [edits] = host.edit_pictures(
        denoiser, noisy, chosen, amounts, latent, progress=bar.part(60, 60), calibrated=found
    )
    for row, reached in enumerate(found[0].reached):
        notes[row] = "\n".join(filter(None, (notes[row], missed_strengths(amounts, reached))))
    return host.finish_edits(denoiser, edits, latent, progress=bar.part(60, 100), forecast=quick), notes


def _sheet(chosen, first, amounts, pictures, more_notes, cell):
    """The pictures in rows of directions and columns of strengths, as IMAGE.

    chosen: a basis with the directions of the rows; first: the number of the first one; more_notes: what is
    below the response of each.
    """
    rows, notes = [], []
    response = "singular value" if chosen.kind == SINGULAR else "response"
    for row in range(chosen.rank):
        start = row * len(amounts)
        label = f"{first + row}: {chosen.name(row)}" if chosen.name(row) else f"direction {first + row}"
        rows.append((label, pictures[start : start + len(amounts)]))
        notes.append("\n".join(filter(None, (f"{response} {chosen.s[row]:.3g}", more_notes[row]))))
    sheet = figures.contact_sheet(
        rows,
        figures.number_labels(amounts, sign=True),
        cell=cell,
        row_notes=notes,
        title=f"Directions at {chosen.timestep:.4g} T",
    )
    return host.pil_to_image([sheet])
