"""The picture at the top of the README, step by step.

Open it as a notebook (VS Code, Jupytext), or run it as a script.
"""

# %% A picture and a model. Any `Denoiser` serves, such as DiffusersDenoiser.from_pipeline(...).
from pathlib import Path

from pullback_core import ddim, edit_grid, faces, figures, local_basis, spectra

denoiser = faces.FacesDenoiser(faces.load_model())
image = faces.example_faces([3])
x0 = faces.encode_image(image)

# %% Into the noise: DDIM inversion to 0.7 T, and back again to see how exact it is.
TIMESTEP = 0.7
noisy = ddim.invert(denoiser, x0, denoiser.schedule.sigmas(35, start=TIMESTEP), refine=6)
again = ddim.generate(denoiser, noisy)
print(f"The round trip changes the latent by {100 * ddim.relative_error(again, x0):.2g}%.")

# %% The local basis: the leading singular triplets of the map from the noisy latent to the feature h.
basis = local_basis(denoiser, noisy, rank=8)
print(
    f"{basis.products} Jacobian products; singular values {', '.join(f'{value:.0f}' for value in basis.s)}; "
    f"effective rank {spectra.effective_rank(basis.s):.1f}."
)

# %% X-space guidance along the first five directions, both ways, and generation.
strengths = [-1.0, -0.5, 0.0, 0.5, 1.0]
edited = edit_grid(denoiser, noisy, basis.select(range(5)), strengths)
pictures = faces.decode_latent(ddim.generate(denoiser, edited)).clamp(-1, 1)

# %% What the network that reads attributes says has changed most, from one end of each row to the other.
regressor = faces.load_regressor()
readings = regressor(pictures).unflatten(0, (5, 5))
changes = (readings[:, -1] - readings[:, 0]) / regressor.deviation
notes = [
    f"{faces.NAMES[index].replace('_', ' ')} {row[index]:+.1f}"
    for row, index in zip(changes, changes.abs().argmax(dim=1).tolist())
]

# %% The contact sheet.
rows = [
    (f"direction {number}", list(row)) for number, row in enumerate(pictures.split(len(strengths)), start=1)
]
sheet = figures.contact_sheet(
    [("original", [image[0], None, faces.decode_latent(again)[0], None, None]), *rows],
    [f"{strength:+g}" for strength in strengths],
    row_notes=["reconstructed in the middle", *notes],
    title=f"Directions at {TIMESTEP:g} T",
)
figures.save_picture(sheet, Path("output/example/contact_sheet.png"))
sheet  # noqa: B018 - a notebook shows it
