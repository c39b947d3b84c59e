"""Do the directions mean something? Attributes that change along them, against random directions.

For every face, the noisy latent moves both ways along each of the first directions of its basis, and along as
many random directions: "smooth" ones (Gaussian noise of at most `--cycles` cycles per picture) and "white"
ones. All moves have one length, that of the face's guided edits. The results are generated to the end, and
the regressor reads 22 attributes from them. Two ways to move:

  guided    by x-space guidance, the edit as it is done; the displacement is rescaled to the common length
  straight  z + length * direction

"attributes" is the mean over attributes of |difference between the two ways|, in standard deviations over
random faces; "strongest" is the largest of them. "pixels" is the root mean square difference of the pictures
(RGB in [-1, 1]). "off face" says how clean a face the results are: the root mean square difference between a
picture and the drawing with the attributes read from it. The last line has its value for unedited pictures.

    python -m benchmarks.edits
"""

import argparse
import json
from pathlib import Path

import torch
from tqdm import tqdm

from pullback_core import NoisyLatent, ddim, edit, faces, local_basis

COLUMNS = ("attributes", "strongest", "pixels", "off face")
WAYS, KINDS = ("guided", "straight"), ("basis", "smooth", "white")


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

    bench = Bench(options)
    for number in tqdm(range(options.faces), desc="faces"):
        bench.measure(number)
    bench.print_table()
    ratios = bench.print_ratios()
    if options.json:
        Path(options.json).write_text(json.dumps(bench.figures() | {"ratios": ratios}, indent=2))


class Bench:
    """The changes of all faces along all kinds of directions, both guided and straight."""

    def __init__(self, options):
        self.options = options
        self.denoiser, self.regressor = faces.FacesDenoiser(faces.load_model()), faces.load_regressor()
        schedule = self.denoiser.schedule
        self.sigmas = schedule.sigmas(round(50 * options.timestep), start=options.timestep)
        self.scale = schedule.scale(float(self.sigmas[0]))  # x = scale * z; lengths are those of z
        self.generator = torch.Generator().manual_seed(0)
        self.table = {(way, kind): {name: [] for name in COLUMNS} for way in WAYS for kind in KINDS}
        self.lengths, self.untouched = [], []

    def measure(self, number):
        """Add the values of one example face."""
        latent = faces.encode_image(faces.example_faces([number]))
        noisy = ddim.invert(self.denoiser, latent, self.sigmas, refine=2)
        self.untouched.append(self.off_face(self.generate(noisy)).item())
        length = None
        for kind, directions in self.directions(noisy).items():
            straight = torch.cat([directions, -directions])
            guided = self.guided(noisy, straight)
            if length is None:  # of the basis, which comes first
                length = guided.flatten(1).norm(dim=1).mean()
                self.lengths.append((length * self.scale / noisy.x.norm()).item())
            for way, moves in zip(WAYS, (guided, straight)):
                moves = length * moves / moves.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
                self.add(way, kind, self.generate(noisy.with_x(noisy.x + self.scale * moves)))

    def directions(self, noisy):
        """kind -> (directions, c, h, w), of unit length in network coordinates."""
        count = self.options.directions
        return {
            "basis": local_basis(self.denoiser, noisy, count).v,
            "smooth": random_directions(count, self.options.cycles, self.generator),
            "white": random_directions(count, 0, self.generator),
        }

    def guided(self, noisy, directions):
        """How far x-space guidance moves along each direction, in network coordinates."""
        copies = noisy.with_x(noisy.x.expand_as(directions))
        scale, steps = self.options.scale, self.options.guidance_steps
        edited = edit(self.denoiser, copies, directions, strength=scale, steps=steps)
        return (edited.x - noisy.x) / self.scale

    def add(self, way, kind, image):
        plus, minus = image.chunk(2)
        change = (self.regressor(plus) - self.regressor(minus)).abs() / self.regressor.deviation
        pixels = (plus - minus).square().mean(dim=(1, 2, 3)).sqrt()
        values = change.mean(dim=1), change.max(dim=1).values, pixels, self.off_face(image)
        for name, value in zip(COLUMNS, values):
            self.table[way, kind][name].append(value)

    def generate(self, noisy: NoisyLatent):
        return faces.decode_latent(ddim.generate(self.denoiser, noisy)).clamp(-1, 1)

    def off_face(self, image):
        return (image - faces.draw_faces(self.regressor(image))).square().mean(dim=(1, 2, 3)).sqrt()

    def values(self, way, kind, name):
        return torch.cat(self.table[way, kind][name])

    def print_table(self):
        options = self.options
        print(
            f"{options.faces} faces x {options.directions} directions at {options.timestep:g} T, each way by "
            f"{sum(self.lengths) / len(self.lengths):.1%} of the latent's norm; smooth: up to "
            f"{options.cycles:g} cycles per picture"
        )
        print(" " * 18 + "".join(f"{name:>12s}" for name in COLUMNS))
        for way, kind in self.table:
            means = [self.values(way, kind, name).mean() for name in COLUMNS]
            print(f"  {way:9s} {kind:6s} " + "".join(f"{value:12.3f}" for value in means))

    def print_ratios(self):
        ratios = {}
        for way in WAYS:
            for kind in ("smooth", "white"):
                own, other = (self.values(way, one, "attributes") for one in ("basis", kind))
                ratio, (low, high) = paired_ratio(own, other, self.options.directions)
                ratios[f"{way}, basis / {kind}"] = [ratio, low, high]
                print(
                    f"  attributes, {way}: basis / {kind} = {ratio:.2f} "
                    f"(95% interval over faces {low:.2f} to {high:.2f})"
                )
        print(f"  off face, unedited reconstructions: {sum(self.untouched) / len(self.untouched):.3f}")
        return ratios

    def figures(self):
        rows = {
            f"{way}, {kind}": {name: self.values(way, kind, name).mean().item() for name in COLUMNS}
            for way, kind in self.table
        }
        return {"rows": rows, "off face, unedited": sum(self.untouched) / len(self.untouched)}


def paired_ratio(a, b, per_face, draws=2000):
    """The ratio of means and its bootstrap 95% interval, resampling whole faces."""
    a, b = a.view(-1, per_face).mean(dim=1), b.view(-1, per_face).mean(dim=1)
    chosen = torch.randint(len(a), (draws, len(a)), generator=torch.Generator().manual_seed(0))
    ratios = a[chosen].mean(dim=1) / b[chosen].mean(dim=1)
    return (a.mean() / b.mean()).item(), ratios.quantile(torch.tensor([0.025, 0.975])).tolist()


if __name__ == "__main__":
    main()
