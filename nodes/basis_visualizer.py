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
from .ui import SENT_AGAIN, missed_strengths, range_note

FAST, FULL, DRAFT = "fast", "full", "draft"
# Sampler steps of a draft. On the bundled faces its pictures differ from the finished ones by 0.03 RMS with
# eight steps, and by 0.05 with four.
DRAFT_STEPS = 8
FORECAST, PREVIEW = "forecast", "preview"  # what a fast sheet is
TITLES = {  # how the pictures were made -> the end of a sheet's title
    FULL: "",
    DRAFT: ": draft, {} sampler steps",
    FORECAST: ": forecast, not sampled",
    PREVIEW: ": preview, not sampled",
}


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
            **SENT_AGAIN,
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
                return _by_picture(denoiser, noisy, chosen, amounts, latent, mode, bar)
            return _by_guidance(denoiser, noisy, chosen, amounts, latent, mode, bar, steps)

        finished, notes = host.while_sampling(model, conditioning, latent, work, sigmas=sigmas)
        pictures = host.image_to_core(vae.decode(host.clean_latent(model, finished)["samples"]))
        made = _how_made(mode, unit == SEEN and chosen.knows_pictures())
        levels = min(len(sigmas) - 1, DRAFT_STEPS)
        title = f"Directions at {chosen.timestep:.4g} T{TITLES[made].format(levels)}"
        rows = _rows(chosen, direction, notes)
        columns = figures.number_labels(amounts, sign=True)
        sheet, places = _sheet(rows, columns, pictures, cell, title)
        spectrum = host.plot_of(figures.singular_value_plot, basis)
        maps = [figures.to_pil(host.direction_preview(model, vector), 2 * cell) for vector in chosen.v]
        shown = ui.PreviewImage(sheet, cls=cls).as_dict()
        shown["pullback_sheet"] = [
            {
                "file": shown["images"][0],
                "size": [sheet.shape[2], sheet.shape[1]],
                **{"made": made, "levels": levels, "unit": unit, "steps": steps},
                "columns": columns,
                "rows": [{"label": label, "notes": lines} for label, lines in rows],
                "cells": _cells(places, direction, amounts),
            }
        ]
        return io.NodeOutput(sheet, spectrum, host.pil_to_image(maps), ui=shown)


def _sheet_inputs():
    """What the sheet shows, and how."""
    return [
        io.Combo.Input(
            "mode",
            options=[FAST, FULL, DRAFT],
            default=FAST,
            tooltip="fast: a rough forecast without sampling; with the unit picture and a basis that knows "
            "its pictures, a preview. full: each edit sampled to the end. draft: sampled with "
            f"{DRAFT_STEPS} steps.",
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


def _by_picture(denoiser, noisy, chosen, amounts, latent, mode, bar):
    """The finished pictures of a sheet in units of what is seen, and a note for each row."""
    quick = mode == FAST
    ranges = host.straight_ranges(denoiser, noisy, chosen, progress=bar.part(0, 30), quick=quick)
    notes = [range_note(ends) for ends in ranges]
    if quick and chosen.knows_pictures():
        return host.preview_pictures(denoiser, noisy, chosen, amounts, latent), notes
    found = host.calibrate(denoiser, noisy, chosen, amounts, latent, progress=bar.part(30, 60), quick=quick)
    edited = host.edit_pictures(
        denoiser, noisy, chosen, amounts, latent, progress=bar.part(60, 60), calibrated=found
    )
    for row, reached in enumerate(found[0].reached):
        notes[row] = "\n".join(filter(None, (notes[row], missed_strengths(amounts, reached))))
    return _finish(denoiser, edited, latent, mode, bar.part(60, 100)), notes


def _by_guidance(denoiser, noisy, chosen, amounts, latent, mode, bar, steps):
    """The finished pictures of a sheet in steps of the guidance, and a note for each row, which is empty."""
    edited = host.edit_pictures(
        denoiser,
        noisy,
        chosen,
        amounts,
        latent,
        progress=bar.part(0, 50),
        steps=steps,
        quick=mode == FAST,
    )
    return _finish(denoiser, edited, latent, mode, bar.part(50, 100)), [""] * chosen.rank


def _finish(denoiser, edited, latent, mode, progress):
    """The clean pictures of the edits of one picture, as the mode wants them."""
    [edits] = edited
    levels = DRAFT_STEPS if mode == DRAFT else None
    return host.finish_edits(denoiser, edits, latent, progress=progress, forecast=mode == FAST, levels=levels)


def _how_made(mode, knows_pictures):
    """How the pictures of a sheet were made, for the page and its title, see `TITLES`.

    knows_pictures: whether a fast sheet is a preview.
    """
    if mode != FAST:
        return mode
    return PREVIEW if knows_pictures else FORECAST


def _rows(chosen, first, more_notes):
    """The label of each direction of a sheet, and its notes.

    chosen: a basis with the directions of the rows; first: the number of the first one; more_notes: what is
    below the response of each.
    """
    rows = []
    response = "singular value" if chosen.kind == SINGULAR else "response"
    for row, more in enumerate(more_notes):
        label = f"{first + row}: {chosen.name(row)}" if chosen.name(row) else f"direction {first + row}"
        rows.append((label, "\n".join(filter(None, (f"{response} {chosen.s[row]:.3g}", more)))))
    return rows


def _sheet(rows, columns, pictures, cell, title):
    """The pictures in rows of directions and columns of strengths, as IMAGE, and their places."""
    count = len(columns)
    parts = [pictures[start : start + count] for start in range(0, len(pictures), count)]
    labelled = [(label, images) for (label, _), images in zip(rows, parts, strict=True)]
    notes = [lines for _, lines in rows]
    sheet, places = figures.placed_contact_sheet(labelled, columns, cell=cell, row_notes=notes, title=title)
    return host.pil_to_image([sheet]), places


def _cells(places, first, amounts):
    """Where each picture of a sheet is, and what it shows; see web/js/sheet.js.

    places: (left, top, width, height) of each picture in each row; first: the number of the first direction.
    """
    cells = []
    for direction, row in enumerate(places, start=first):
        for amount, (x, y, width, height) in zip(amounts, row, strict=True):
            place = {"x": x, "y": y, "width": width, "height": height}
            cells.append({**place, "direction": direction, "strength": amount})
    return cells
