"""What does a whole edit cost against plain sampling with as many steps? The bundled model, one face, one direction.

python -m benchmarks.whole_edit
"""

import argparse
import time

import torch

from pullback_core import ddim, faces, local_basis, x_space_guidance


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
    down = schedule.sigmas(round(options.steps * options.timestep), start=options.timestep)
    clean, sigma = faces.encode_image(faces.example_faces([0])), down[0].item()
    print(
        f"{options.steps} steps, edit at {options.timestep:g} T, rank {options.rank}, {options.refine} corrections, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print("                     seconds   evaluations   of sampling")

    def sample():
        levels = schedule.sigmas(options.steps)
        return ddim.generate(denoiser, levels[0] * torch.randn_like(clean), levels)

    sample()  # the first evaluations of a process are slow
    sampling = timed("plain sampling", sample, denoiser)[1]
    z, first = timed(
        "inversion",
        lambda: schedule.to_network(ddim.invert(denoiser, clean, down.flip(0), refine=options.refine), sigma),
        denoiser,
        sampling,
    )
    local_basis(denoiser, z, sigma, 1, max_products=8)
    basis, second = timed("basis", lambda: local_basis(denoiser, z, sigma, options.rank), denoiser, sampling)
    edited, third = timed(
        "x-space guidance",
        lambda: x_space_guidance(denoiser, z, sigma, basis.v[:1], scale=0.5, steps=16)[-1],
        denoiser,
        sampling,
    )
    _, fourth = timed(
        "sampling to the end",
        lambda: ddim.generate(denoiser, schedule.from_network(edited, sigma), down),
        denoiser,
        sampling,
    )
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


class Counting:
    """A `Denoiser` that counts evaluations of the whole network, sample by sample."""

    def __init__(self, denoiser):
        self.encode, self.schedule, self.provenance = denoiser.encode, denoiser.schedule, denoiser.provenance
        self.denoiser, self.evaluations = denoiser, 0

    def denoise(self, x, sigma):
        self.evaluations += len(x)
        return self.denoiser.denoise(x, sigma)


if __name__ == "__main__":
    main()
