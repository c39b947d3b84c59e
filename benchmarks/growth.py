"""How does the cost of a basis grow with its rank, and that of a product with the resolution and with how many run at once?

Ranks and batches: the bundled model, faces inverted to 0.7 T. Resolutions: an untrained UNet of Stable Diffusion's form at a tenth of
its width, one latent. h is an evaluation up to the bottleneck, of as many samples as there are vectors.

    python -m benchmarks.growth
"""

import argparse
import time

import torch

from benchmarks.released import Fast, faces_points, random_points
from pullback_core import Jacobian, local_basis

RANKS, BATCHES, SIZES, REPEATS = (1, 2, 4, 8, 16, 32), (1, 2, 4, 8, 16), (8, 16, 32, 64), 5


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=int, default=5, help="faces over which ranks are averaged")
    parser.add_argument("--tolerance", type=float, default=1e-2)
    options = parser.parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, residuals of {options.tolerance:g}")
    denoiser, points, sigma = faces_points(options.points, 0.7)
    local_basis(denoiser, points[0], sigma, 1, max_products=8)  # the first products of a process are slow

    print("\n  rank   products   of a triplet   seconds   of rank 1")
    first = None
    for rank in RANKS:
        start = time.perf_counter()
        products = sum(
            local_basis(denoiser, z, sigma, rank, tolerance=options.tolerance).products for z in points
        ) / len(points)
        seconds = (time.perf_counter() - start) / len(points)
        first = first or seconds
        print(
            f"{rank:6d} {products:10.1f} {products / rank:14.1f} {seconds:9.3f} {seconds / first:10.1f}x",
            flush=True,
        )

    print("\nat once   milliseconds a vector: h       J v     of h     J^T u     of h")
    for batch in BATCHES:
        report(f"{batch:7d}", denoiser, points[0], sigma, batch)

    print("\n  latents    milliseconds: h       J v     of h     J^T u     of h     record     of h")
    for size in SIZES:
        plain, _, level = random_points(1, 0.7)
        report(f"{size:5d} x {size}", Fast(plain), torch.randn(4, size, size), level, 1, record=True)


def report(label, denoiser, z, sigma, batch, record=False):
    """One line of milliseconds for each vector, and their multiples of an evaluation."""
    encode = lambda points: denoiser.encode(points, sigma)
    jacobian = Jacobian(encode, z)
    v, u = torch.randn(batch, *z.shape), torch.randn(batch, *jacobian.out_shape)
    samples = z.expand(batch, *z.shape).contiguous()
    times = [
        fastest(work) / batch
        for work in (
            torch.no_grad()(lambda: encode(samples)),
            lambda: jacobian.jvp(v),
            lambda: jacobian.vjp(u),
        )
    ]
    if record:
        times.append(fastest(lambda: (jacobian.forget(), jacobian.record())))
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
