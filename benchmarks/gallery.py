"""Every example face with its first rotated directions, both ways: which of them would a person name?

python -m benchmarks.gallery gallery.png
"""

import argparse

from tqdm import tqdm

from pullback_core import ddim, faces, figures, local_basis
from pullback_core.directions.rotation import rotated_basis
from pullback_core.directions.strength import edit_by
from pullback_core.models.denoiser import PICTURE

RANK = 16  # directions that are found and turned


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", help="PNG file to write")
    parser.add_argument("--faces", type=int, nargs="*", default=list(range(20)))
    parser.add_argument("--directions", type=int, default=8)
    parser.add_argument("--timestep", type=float, default=0.5)
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--cell", type=int, default=56)
    options = parser.parse_args()

    denoiser = faces.FacesDenoiser(faces.load_model(), feature=PICTURE)
    sigmas = denoiser.schedule.sigmas(round(50 * options.timestep), start=options.timestep)
    rows = []
    for number in tqdm(options.faces, desc="faces"):
        image = faces.example_faces([number])
        noisy = ddim.invert(denoiser, faces.encode_image(image), sigmas, refine=6)
        basis = rotated_basis(local_basis(denoiser, noisy, RANK)).select(range(options.directions))
        edits = edit_by(denoiser, noisy, basis, [-options.strength, options.strength])
        edited = faces.decode_latent(ddim.generate(denoiser, edits))
        rows.append((f"face {number}", [image[0], *edited]))
    headings = ["original"] + [
        f"{index} {sign}" for index in range(1, options.directions + 1) for sign in "-+"
    ]
    figures.save_picture(figures.contact_sheet(rows, headings, cell=options.cell), options.picture)


if __name__ == "__main__":
    main()
