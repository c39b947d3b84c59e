"""The picture at the top of the README, step by step.

Open it as a notebook (VS Code, Jupytext), or run it as a script.
"""

# %% A picture and a model. Any `Denoiser` serves, such as DiffusersDenoiser.from_pipeline(...).
from pathlib import Path

from pullback_core import ddim, edit_by, faces, figures, linear_range, local_basis, rotated_basis

denoiser = faces.FacesDenoiser(faces.load_model(), feature="picture")
image = faces.example_faces([6])
x0 = faces.encode_image(image)

# %% Into the noise: DDIM inversion to 0.5 T, and back again to see how exact it is.
TIMESTEP = 0.5
noisy = ddim.invert(denoiser, x0, denoiser.schedule.sigmas(25, start=TIMESTEP), refine=6)
again = ddim.generate(denoiser, noisy)
print(f"The round trip changes the latent by {100 * ddim.relative_error(again, x0):.2g}%.")

# %% The local basis: the leading singular triplets of the map from the noisy latent to the predicted picture.
found = local_basis(denoiser, noisy, rank=16)
print(
    f"{found.products} Jacobian products; singular values {', '.join(f'{value:.1f}' for value in found.s)}."
)

# %% Turned within their span, each direction changes one thing. The first eight:
basis = rotated_basis(found).select(range(8))
for number, (low, high) in enumerate(linear_range(denoiser, noisy, basis).tolist(), start=1):
    print(f"Direction {number} changes the picture in proportion from {-low:.1f} to {high:+.1f}.")

# %% Moves along them, both ways, by strengths in units of what is seen; and generation.
strengths = [-1.0, -0.5, 0.0, 0.5, 1.0]
edited = edit_by(denoiser, noisy, basis, strengths)
pictures = faces.decode_latent(ddim.generate(denoiser, edited)).clamp(-1, 1)

# %% What the network that reads attributes says has changed most, from one end of each row to the other.
regressor = faces.load_regressor()
readings = regressor(pictures).unflatten(0, (8, 5))
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
