"""What does a whole edit cost against plain sampling with as many steps? One face of the bundled model.

python -m benchmarks.whole_edit
"""

import argparse
import time

import torch

from pullback_core import Denoiser, NoisyLatent, ddim, edit, faces, local_basis


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=50,
        help="of plain sampling, and of the whole way from T to 0 in the edit",
    )
    parser.add_argument("--timestep", type=float, default=0.7)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--refine", type=int, default=2, help="corrections of each step of the inversion")
    options = parser.parse_args()
    denoiser = Counting(faces.FacesDenoiser(faces.load_model()))
    schedule = denoiser.schedule
    sigmas = schedule.sigmas(round(options.steps * options.timestep), start=options.timestep)
    clean = faces.encode_image(faces.example_faces([0]))
    print(
        f"{options.steps} steps, edit at {options.timestep:g} T, rank {options.rank}, "
        f"{options.refine} corrections, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print("                     seconds   evaluations   of sampling")

    def sample():
        levels = schedule.sigmas(options.steps)
        return ddim.generate(denoiser, NoisyLatent(levels[0] * torch.randn_like(clean), levels))

    def invert():
        return ddim.invert(denoiser, clean, sigmas, refine=options.refine)

    sample()  # the first evaluations of a process are slow
    sampling = timed("plain sampling", sample, denoiser)[1]
    noisy, first = timed("inversion", invert, denoiser, sampling)
    local_basis(denoiser, noisy, 1, max_products=8)

    def search():
        return local_basis(denoiser, noisy, options.rank)

    basis, second = timed("basis", search, denoiser, sampling)

    def guide():
        return edit(denoiser, noisy, basis.direction(0), strength=0.5, steps=16)

    edited, third = timed("x-space guidance", guide, denoiser, sampling)

    def generate():
        return ddim.generate(denoiser, edited)

    _, fourth = timed("sampling to the end", generate, denoiser, sampling)
    total = first + second + third + fourth
    print(f"{'the whole edit':20s} {total:7.2f} {'':13s} {total / sampling:12.2f}x")
    print(f"{'another edit of it':20s} {third + fourth:7.2f} {'':13s} {(third + fourth) / sampling:12.2f}x")


def timed(label, work, denoiser, sampling=None):
    """Print a line; returns what the work returns, and its seconds."""
    denoiser.evaluations, start = 0, time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    products = f"{result.products} products" if hasattr(result, "products") else denoiser.evaluations
    print(f"{label:20s} {seconds:7.2f} {products:>13} {seconds / (sampling or seconds):12.2f}x", flush=True)
    return result, seconds


class Counting(Denoiser):
    """A `Denoiser` that counts evaluations of the whole network, sample by sample."""

    def __init__(self, denoiser):
        self.schedule, self.provenance = denoiser.schedule, denoiser.provenance
        self.denoiser, self.evaluations = denoiser, 0

    def encode(self, x, sigma):
        return self.denoiser.encode(x, sigma)

    def denoise(self, x, sigma):
        self.evaluations += len(x)
        return self.denoiser.denoise(x, sigma)


if __name__ == "__main__":
    main()
