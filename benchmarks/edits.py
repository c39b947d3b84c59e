"""Do the directions mean something? Attributes that change along them, against random directions of the same length.

For every face, the noisy latent moves both ways along each of the first directions of its basis, and along as many
random directions: "smooth" ones (Gaussian noise of at most `--cycles` cycles per picture) and "white" ones. All moves
have one length, that of the face's guided edits; the results are generated to the end, and the regressor reads
22 attributes from them. Two ways to move:

  guided    by x-space guidance, the edit as it is done; the displacement is rescaled to the common length
  straight  z + length * direction

"attributes" is the mean over attributes of |difference between the two ways|, in standard deviations over random faces;
"strongest" is the largest of them. "pixels" is the root mean square difference of the two pictures (RGB in [-1, 1]).
"off face" says how clean a face the results are: the root mean square difference between a picture and the drawing with
the attributes read from it; the last line has its value for unedited reconstructions.

    python -m benchmarks.edits
"""

import argparse
import json

import torch
from tqdm import tqdm

from pullback_core import ddim, faces, local_basis, x_space_guidance

COLUMNS = ("attributes", "strongest", "pixels", "off face")


def random_directions(count, cycles, generator):
    """(count, 27, 16, 16) unit latents, white, or with only the lowest frequencies of the picture."""
    noise = torch.randn(count, 3, faces.SIZE, faces.SIZE, generator=generator)
    if cycles:
        frequency = torch.fft.fftfreq(faces.SIZE, 1 / faces.SIZE)
        low = torch.hypot(frequency[:, None], frequency[None, :]) <= cycles
        noise = torch.fft.ifft2(torch.fft.fft2(noise) * low).real
    latent = faces.encode_image(noise)
    return latent / latent.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=20)
    parser.add_argument("--directions", type=int, default=5)
    parser.add_argument("--timestep", type=float, default=0.7)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="gamma of the guided edit, which sets the length"
    )
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
        return faces.decode_latent(ddim.generate(denoiser, schedule.from_network(z, sigma), levels)).clamp(
            -1, 1
        )

    def off_face(image):
        return (image - faces.draw_faces(regressor(image))).square().mean(dim=(1, 2, 3)).sqrt()

    table = {
        (way, kind): {name: [] for name in COLUMNS}
        for way in ("guided", "straight")
        for kind in ("basis", "smooth", "white")
    }
    lengths, untouched = [], []
    sign = torch.tensor([1.0, -1.0]).repeat_interleave(options.directions)
    for number in tqdm(range(options.faces), desc="faces"):
        latent = faces.encode_image(faces.example_faces([number]))
        z = schedule.to_network(ddim.invert(denoiser, latent, levels.flip(0), refine=2), sigma)
        untouched.append(off_face(generate(z)).item())
        length = None
        for kind, directions in (
            ("basis", local_basis(denoiser, z, sigma, options.directions).v),
            ("smooth", random_directions(options.directions, options.cycles, generator)),
            ("white", random_directions(options.directions, 0, generator)),
        ):
            straight = directions.repeat(2, 1, 1, 1) * sign.view(-1, 1, 1, 1)
            guided = (
                x_space_guidance(
                    denoiser,
                    z.expand_as(straight),
                    sigma,
                    straight,
                    scale=options.scale,
                    steps=options.guidance_steps,
                )[-1]
                - z
            )
            if length is None:
                length = guided.flatten(1).norm(dim=1).mean()
                lengths.append((length / z.norm()).item())
            for way, moves in (("guided", guided), ("straight", straight)):
                image = generate(z + length * moves / moves.flatten(1).norm(dim=1).view(-1, 1, 1, 1))
                plus, minus = image.chunk(2)
                change = (regressor(plus) - regressor(minus)).abs() / regressor.deviation
                pixels = (plus - minus).square().mean(dim=(1, 2, 3)).sqrt()
                for name, value in zip(
                    COLUMNS, (change.mean(dim=1), change.max(dim=1).values, pixels, off_face(image))
                ):
                    table[way, kind][name].append(value)

    table = {row: {name: torch.cat(value) for name, value in values.items()} for row, values in table.items()}
    print(
        f"{options.faces} faces x {options.directions} directions at {options.timestep:g} T, each way by "
        f"{sum(lengths) / len(lengths):.1%} of the latent's norm; smooth: up to {options.cycles:g} cycles per picture"
    )
    print(" " * 18 + "".join(f"{name:>12s}" for name in COLUMNS))
    for (way, kind), values in table.items():
        print(f"  {way:9s} {kind:6s} " + "".join(f"{value.mean():12.3f}" for value in values.values()))
    ratios = {}
    for way in ("guided", "straight"):
        for kind in ("smooth", "white"):
            ratio, (low, high) = paired_ratio(
                table[way, "basis"]["attributes"], table[way, kind]["attributes"], options.directions
            )
            ratios[f"{way}, basis / {kind}"] = [ratio, low, high]
            print(
                f"  attributes, {way}: basis / {kind} = {ratio:.2f} (95% interval over faces {low:.2f} to {high:.2f})"
            )
    print(f"  off face, unedited reconstructions: {sum(untouched) / len(untouched):.3f}")
    if options.json:
        rows = {
            ", ".join(row): {name: value.mean().item() for name, value in values.items()}
            for row, values in table.items()
        }
        with open(options.json, "w") as file:
            json.dump(
                {"rows": rows, "ratios": ratios, "off face, unedited": sum(untouched) / len(untouched)},
                file,
                indent=2,
            )


def paired_ratio(a, b, per_face, draws=2000):
    """The ratio of means and its bootstrap 95% interval, resampling whole faces."""
    a, b = a.view(-1, per_face).mean(dim=1), b.view(-1, per_face).mean(dim=1)
    chosen = torch.randint(len(a), (draws, len(a)), generator=torch.Generator().manual_seed(0))
    ratios = a[chosen].mean(dim=1) / b[chosen].mean(dim=1)
    return (a.mean() / b.mean()).item(), ratios.quantile(torch.tensor([0.025, 0.975])).tolist()


if __name__ == "__main__":
    main()
