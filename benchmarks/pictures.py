"""Make the pictures of the help pages and the icon with the bundled model.

python -m benchmarks.pictures web/docs/images
"""

import argparse
from pathlib import Path

import torch
from PIL import Image

from pullback_core import (
    NoisyLatent,
    bases_over_time,
    ddim,
    edit_by,
    edit_grid,
    faces,
    figures,
    global_basis,
    local_basis,
    rotated_basis,
    spectra,
    transported_basis,
)
from pullback_core.linalg import subspaces
from pullback_core.models.denoiser import PICTURE

TIMESTEP, STEPS, CELL = 0.5, 50, 128  # STEPS over the whole of T
FACE = 6
SHOWN_DIRECTIONS = (0, 4, 5, 6, 7)  # of it: shirt, hair, mouth, skin, background
SOURCE, TARGET, CARRIED = 6, 5, 5  # a pair with a clear alignment, and the direction
FACE_IN_TIME = 6
AVERAGED, SHOWN, GLOBAL_TIMESTEP = (
    range(6),
    (3, 0, 6, 8),
    0.8,
)  # two of the averaged faces, and two that the mean has never seen
BANNER_FACES = 3, 5, 6
PROMPT = "smiling, glasses, long hair, hat"


class Edits:
    """One example face, its noise and its basis, and pictures of what directions do to it."""

    def __init__(self, number, timestep=TIMESTEP, feature=PICTURE):
        model = faces.load_model()
        self.denoiser = faces.FacesDenoiser(model)
        sigmas = self.denoiser.schedule.sigmas(round(STEPS * timestep), start=timestep)
        self.image = faces.example_faces([number])[0]
        clean = faces.encode_image(self.image[None])
        self.noisy = ddim.invert(self.denoiser, clean, sigmas, refine=6)
        found = faces.FacesDenoiser(model, feature=feature)
        if feature == PICTURE:
            self.search = local_basis(found, self.noisy, 16, keep_space=True)
            self.basis = rotated_basis(self.search)
        else:
            self.basis = local_basis(found, self.noisy, 8)

    def generate(self, noisy, **options):
        return list(faces.decode_latent(ddim.generate(self.denoiser, noisy, **options)))

    def rows(self, directions, strengths, **options):
        """A list of pictures for each direction, by strengths in units of what is seen."""
        return self._generated(
            edit_by(self.denoiser, self.noisy, directions, strengths), strengths, **options
        )

    def guided_rows(self, directions, strengths):
        """A list of pictures for each direction, by x-space guidance."""
        return self._generated(edit_grid(self.denoiser, self.noisy, directions, strengths), strengths)

    def _generated(self, edits, strengths, **options):
        pictures = self.generate(edits, **options)
        return [pictures[start : start + len(strengths)] for start in range(0, len(pictures), len(strengths))]


def sample(prompt, count, seed=0):
    denoiser = faces.FacesDenoiser(faces.load_model(), prompt, guidance=2.0 if prompt else 1.0)
    levels = denoiser.schedule.sigmas(STEPS)
    noise = torch.randn(count, *faces.LATENT_SHAPE, generator=torch.Generator().manual_seed(seed))
    return list(faces.decode_latent(ddim.generate(denoiser, NoisyLatent(levels[0] * noise, levels))))


def grid(pictures, columns=4):
    rows = [("", pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
    return figures.contact_sheet(rows, [""] * columns, cell=CELL)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the PNG files go")
    folder = parser.parse_args().folder

    for name, picture in help_pictures().items():
        figures.save_picture(picture, folder / f"{name}.png")


def help_pictures():
    """Every picture, by name."""
    return {
        **pictures_of_one_face(),
        "transport": transport(),
        "faces": grid(sample("", 8)),
        "prompt": grid(sample(PROMPT, 4)),
        "over_time": over_time(),
        "compare": compare(),
        "global": common_direction(),
        "icon": icon(),
        "banner": banner(),
        "examples": grid(list(faces.example_faces(list(range(8))))),
    }


def pictures_of_one_face():
    """What the nodes do to one example face."""
    one = Edits(FACE)
    shown = one.basis.select(SHOWN_DIRECTIONS)
    noise = faces.decode_latent(one.noisy.x / one.denoiser.schedule.scale(one.noisy.sigma))[0]
    strengths = [-1.0, -0.5, 0.0, 0.5, 1.0]
    columns = [f"{strength:+g}" if strength else "0" for strength in strengths]
    numbered = [f"direction {index + 1}" for index in SHOWN_DIRECTIONS]
    sheet = one.rows(shown, strengths)
    maps = [figures.direction_map(image) for image in faces.decode_latent(shown.v)]
    strong = [one.rows(shown.select([1]), [-2.0, 2.0], boost_below=boost)[0] for boost in (0.0, 0.3)]
    basis_rows = [(name, [map, row[0], row[2], row[4]]) for name, map, row in zip(numbered, maps, sheet)]
    invert_row = [one.image, noise, one.generate(one.noisy)[0]]
    boost_rows = list(zip(["euler", "quality boost"], strong))
    file_row = [one.image, maps[1], sheet[1][4]]
    return {
        "invert": sheet_of([("", invert_row)], ["picture", "noise", "picture again"]),
        "basis": sheet_of(basis_rows, ["itself", "-1", "0", "+1"]),
        "edit": sheet_of([(numbered[1], sheet[1])], columns),
        "visualizer": figures.contact_sheet(list(zip(numbered, sheet)), columns, cell=96),
        "boost": sheet_of(boost_rows, ["-2", "+2"]),
        "files": sheet_of([("", file_row)], ["picture", "direction in the file", "edited with it"]),
    }


def sheet_of(rows, columns):
    return figures.contact_sheet(rows, columns, cell=CELL)


def transport():
    """A direction of one face, and the same direction carried over to another face."""
    source, target = Edits(SOURCE), Edits(TARGET)
    carried, alignment = transported_basis(CARRIED, source.basis, target.search, method="fitted")
    strengths = [-1.0, 0.0, 1.0]
    rows = [
        ("source", source.rows(source.basis.select([CARRIED]), strengths)[0]),
        ("carried over", target.rows(carried, strengths)[0]),
    ]
    notes = ["", f"alignment {alignment:.2f}"]
    return figures.contact_sheet(rows, ["-1", "0", "+1"], row_notes=notes, cell=CELL)


def over_time():
    """The first direction of one face at four timesteps: itself, and what it does."""
    denoiser, strengths = faces.FacesDenoiser(faces.load_model()), [-1.5, 0.0, 1.5]
    rows = []
    for basis, noisy in bases_at([0.3, 0.5, 0.7, 0.9]):
        edits = edit_grid(denoiser, noisy, basis.select([0]), strengths)
        itself = figures.direction_map(faces.decode_latent(basis.v[:1])[0])
        edited = faces.decode_latent(ddim.generate(denoiser, edits))
        rows.append((f"{basis.timestep:.2g} T", [itself, *edited]))
    return figures.contact_sheet(rows, ["direction 1", "-1.5", "0", "+1.5"], cell=CELL)


def compare():
    """The map of distances and the frequencies of one face's bases, one above the other."""
    bases = [found.basis for found in bases_at([0.4, 0.5, 0.6, 0.7, 0.8, 0.9])]
    names = [f"{basis.timestep:.2g} T" for basis in bases]
    curves = [spectra.power_spectrum(basis.v) for basis in bases]
    upper = figures.heat_map(
        subspaces.distance_matrix(bases), names, names, "Distances in features", "distance (at most 4.44)"
    )
    lower = figures.spectrum_plot(
        [(name, frequencies, power.mean(dim=0)) for name, (frequencies, power) in zip(names, curves)]
    )
    both = Image.new("RGB", (max(upper.width, lower.width), upper.height + lower.height), "white")
    both.paste(upper, ((both.width - upper.width) // 2, 0))
    both.paste(lower, ((both.width - lower.width) // 2, upper.height))
    return both


def bases_at(timesteps):
    clean = faces.encode_image(faces.example_faces([FACE_IN_TIME]))
    return bases_over_time(
        faces.FacesDenoiser(faces.load_model()), clean, timesteps, 8, steps=STEPS, refine=6
    )


def common_direction():
    """The first direction of a global basis, on faces that are in the mean and on others."""
    cases = {number: Edits(number, GLOBAL_TIMESTEP, "middle") for number in {*AVERAGED, *SHOWN}}
    common = global_basis([cases[number].basis for number in AVERAGED], "matched").v[:1]
    names = ["in the mean" if number in AVERAGED else "another face" for number in SHOWN]
    return figures.contact_sheet(
        [
            (name, cases[number].guided_rows(common, [-1.0, -0.5, 0.0, 0.5, 1.0])[0])
            for name, number in zip(names, SHOWN)
        ],
        ["-1", "-0.5", "0", "+0.5", "+1"],
        cell=CELL,
    )


def icon(size=400):
    """One face in two halves: as it is, and with other hair, a hat and a smile."""
    before = faces.example_parameters([7])
    changes = {
        "hat": 0.0,
        "hair_red": 0.9,
        "hair_green": 0.5,
        "hair_blue": 0.1,
        "smile": 1.0,
        "background_red": 0.95,
        "background_green": 0.75,
        "background_blue": 0.4,
        "yaw": 0.5,
    }
    after = before.clone()
    for name, value in changes.items():
        after[:, faces.NAMES.index(name)] = value
    before[:, faces.NAMES.index("yaw")] = 0.5
    left, right = faces.draw_faces(torch.cat([before, after]), size)
    return figures.to_pil(torch.cat([left[..., : size // 2], right[..., size // 2 :]], dim=-1))


def banner(cell=180):
    """Three faces in the middle, three edits of each on either side: 7 by 3 cells, the registry's 21:9."""
    strip = Image.new("RGB", (7 * cell, 3 * cell))
    for row, number in enumerate(BANNER_FACES):
        one = Edits(number)
        edits = one.rows(one.basis.select([0, 4, 5]), [-1.0, 1.0])
        pictures = [*(pair[0] for pair in edits), one.image, *(pair[1] for pair in edits)]
        for column, picture in enumerate(pictures):
            strip.paste(figures.to_pil(picture, cell), (column * cell, row * cell))
    return strip


if __name__ == "__main__":
    main()
