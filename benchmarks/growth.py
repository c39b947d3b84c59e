"""How does the cost of a basis grow with its rank, and that of a product with resolution and batch size?

Ranks and batches: the bundled model, faces inverted to 0.7 T. Resolutions: an untrained UNet with the form of
Stable Diffusion at a tenth of its width, one latent. h is an evaluation up to the bottleneck, of as many
samples as there are vectors.

    python -m benchmarks.growth
"""

import argparse
import time

import torch

from benchmarks.points import faces_points, random_points
from pullback_core import feature_jacobian, local_bases, local_basis

RANKS, BATCHES, SIZES, REPEATS = (1, 2, 4, 8, 16, 32), (1, 2, 4, 8, 16), (8, 16, 32, 64), 5


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=5, help="faces over which ranks are averaged")
    parser.add_argument("--tolerance", type=float, default=1e-2)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, residuals of {options.tolerance:g}")
    denoiser, points = faces_points(options.points, 0.7)
    local_basis(denoiser, points[0], 1, max_products=8)  # the first products of a process are slow

    print("\n  rank   products   of a triplet   seconds   of rank 1")
    first = None
    for rank in RANKS:
        start = time.perf_counter()
        bases = local_bases(denoiser, points, rank, tolerance=options.tolerance)
        products = sum(basis.products for basis in bases) / len(points)
        seconds = (time.perf_counter() - start) / len(points)
        first = first or seconds
        print(
            f"{rank:6d} {products:10.1f} {products / rank:14.1f} {seconds:9.3f} {seconds / first:10.1f}x",
            flush=True,
        )

    print("\nat once   milliseconds a vector: h       J v     of h     J^T u     of h")
    for batch in BATCHES:
        report(f"{batch:7d}", denoiser, points[0], batch)

    print("\n  latents    milliseconds: h       J v     of h     J^T u     of h     record     of h")
    for size in SIZES:
        denoiser, noisy = random_points(1, 0.7, size=size)
        report(f"{size:5d} x {size}", denoiser, noisy, 1, record=True)


def report(label, denoiser, noisy, batch, record=False):
    """One line of milliseconds for each vector, and their multiples of an evaluation."""
    jacobian = feature_jacobian(denoiser, noisy)
    v, u = torch.randn(batch, *jacobian.in_shape), torch.randn(batch, *jacobian.out_shape)
    samples = noisy.x.expand(batch, -1, -1, -1).contiguous()

    @torch.no_grad()
    def encode():
        denoiser.encode(samples, noisy.sigma)

    def record_again():
        jacobian.forget()
        jacobian.record()

    times = [
        fastest(encode) / batch,
        fastest(lambda: jacobian.jvp(v)) / batch,
        fastest(lambda: jacobian.vjp(u)) / batch,
    ]
    if record:
        times.append(fastest(record_again))
    shown = "".join(f"{1e3 * seconds:10.2f} {seconds / times[0]:7.2f}x" for seconds in times[1:])
    print(f"{label} {1e3 * times[0]:18.2f}{shown}", flush=True)


def fastest(work):
    """Seconds of the fastest of some runs after a first one."""
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times[1:])


if __name__ == "__main__":
    main()
