"""Do the directions mean something? Attributes that change along them, against random directions of the same length.

For every face and each of the first directions of its basis, the noisy latent moves by one fixed length both ways and
is generated to the end; the regressor reads 22 attributes from both pictures. Compared, always at that length:

  guided    the edit as it is done, by x-space guidance
  basis     a straight step along the direction
  smooth    a straight step along a random low-frequency direction (at most `--cycles` cycles per picture)
  white     a straight step along a random direction

"attributes" is the mean over attributes of |difference| in standard deviations over random faces; "strongest" the
largest of them. "pixels" is the root mean square difference of the two pictures (RGB in [-1, 1]). "off face" says how
clean a face the results are: the root mean square difference between a picture and the drawing with the attributes read
from it; the unedited reconstructions have the value in the last line.

    python -m benchmarks.edits
"""

import argparse
import json

import torch

from pullback_core import ddim, faces, local_basis, x_space_guidance


def random_directions(count, cycles, generator):
    """(count, 48, 16, 16) unit latents, white, or with only the lowest frequencies of the picture."""
    noise = torch.randn(count, 3, faces.SIZE, faces.SIZE, generator=generator)
    if cycles:
        frequency = torch.fft.fftfreq(faces.SIZE, 1 / faces.SIZE)
        low = torch.hypot(frequency[:, None], frequency[None, :]) <= cycles
        noise = torch.fft.ifft2(torch.fft.fft2(noise) * low).real
    latent = faces.encode_image(noise)
    return latent / latent.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=20)
    parser.add_argument("--directions", type=int, default=5)
    parser.add_argument("--timestep", type=float, default=0.7)
    parser.add_argument("--scale", type=float, default=0.5, help="gamma of the guided edit, which sets the length")
    parser.add_argument("--guidance-steps", type=int, default=16)
    parser.add_argument("--cycles", type=float, default=4.0)
    parser.add_argument("--json", help="also write the figures to this file")
    options = parser.parse_args()

    denoiser, regressor = faces.FacesDenoiser(faces.load_model()), faces.load_regressor()
    schedule = denoiser.schedule
    sigma = schedule.sigma(options.timestep)
    levels = schedule.sigmas(round(50 * options.timestep), start=options.timestep)
    generator = torch.Generator().manual_seed(0)

    def generate(z):
        return faces.decode_latent(ddim.generate(denoiser, schedule.from_network(z, sigma), levels)).clamp(-1, 1)

    def off_face(image):
        return (image - faces.draw_faces(regressor(image))).square().mean(dim=(1, 2, 3)).sqrt()

    results = {kind: {"attributes": [], "strongest": [], "pixels": [], "off face": []} for kind in ("guided", "basis", "smooth", "white")}
    lengths, untouched = [], []
    for number in range(options.faces):
        latent = faces.encode_image(faces.example_faces([number]))
        z = schedule.to_network(ddim.invert(denoiser, latent, levels.flip(0), refine=2), sigma)
        basis = local_basis(denoiser, z, sigma, options.directions)
        many = z.expand(2 * options.directions, -1, -1, -1)
        sign = torch.tensor([1.0, -1.0]).repeat_interleave(options.directions)
        guided = x_space_guidance(denoiser, many, sigma, basis.v.repeat(2, 1, 1, 1), scale=options.scale * sign,
                                  steps=options.guidance_steps)[-1]
        length = (guided - z).flatten(1).norm(dim=1).mean()
        lengths.append((length / z.norm()).item())
        untouched.append(off_face(generate(z)).item())
        candidates = {"guided": (guided - z) / (guided - z).flatten(1).norm(dim=1).view(-1, 1, 1, 1)}
        for kind, directions in (
            ("basis", basis.v),
            ("smooth", random_directions(options.directions, options.cycles, generator)),
            ("white", random_directions(options.directions, 0, generator)),
        ):
            candidates[kind] = directions.repeat(2, 1, 1, 1) * sign.view(-1, 1, 1, 1)
        for kind, directions in candidates.items():
            image = generate(z + length * directions)
            plus, minus = image.chunk(2)
            read_plus, read_minus = regressor(image).chunk(2)
            change = (read_plus - read_minus).abs() / regressor.deviation
            values = results[kind]
            values["attributes"].append(change.mean(dim=1))
            values["strongest"].append(change.max(dim=1).values)
            values["pixels"].append((plus - minus).square().mean(dim=(1, 2, 3)).sqrt())
            values["off face"].append(off_face(image))

    table = {kind: {name: torch.cat(value) for name, value in values.items()} for kind, values in results.items()}
    print(f"{options.faces} faces x {options.directions} directions at {options.timestep:g} T, step of {sum(lengths) / len(lengths):.1%} "
          f"of the latent's norm each way")
    print("             " + "".join(f"{name:>14s}" for name in table["basis"]))
    for kind, values in table.items():
        print(f"  {kind:10s} " + "".join(f"{value.mean():14.3f}" for value in values.values()))
    for kind in ("smooth", "white"):
        ratio, spread = paired_ratio(table["guided"]["attributes"], table[kind]["attributes"], options.directions)
        print(f"  attributes, guided / {kind}: {ratio:.2f} (95% interval over faces {spread[0]:.2f} to {spread[1]:.2f})")
    print(f"  unedited reconstructions are off face by {sum(untouched) / len(untouched):.3f}")
    if options.json:
        summary = {kind: {name: value.mean().item() for name, value in values.items()} for kind, values in table.items()}
        with open(options.json, "w") as file:
            json.dump(summary | {"off face, unedited": sum(untouched) / len(untouched)}, file, indent=2)


def paired_ratio(a, b, per_face, draws=2000):
    """The ratio of means and its bootstrap 95% interval, resampling whole faces."""
    a, b = a.view(-1, per_face).mean(dim=1), b.view(-1, per_face).mean(dim=1)
    chosen = torch.randint(len(a), (draws, len(a)), generator=torch.Generator().manual_seed(0))
    ratios = a[chosen].mean(dim=1) / b[chosen].mean(dim=1)
    return (a.mean() / b.mean()).item(), ratios.quantile(torch.tensor([0.025, 0.975])).tolist()


if __name__ == "__main__":
    main()
