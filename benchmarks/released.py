"""How many Jacobian products does the method's released code spend on a basis, and how many are needed?

Four ways to the leading triplets of the same Jacobians, one after the other in this run:

- krylov: `local_basis`.
- released: the subspace iteration of the paper's released code (Algorithm 1 of Park et al. 2023) with its
  settings for Stable Diffusion: 50 vectors (or 2), five at a time, 50 iterations, or from the 12th on until
  no
  entry of a vector moves by more than 1e-4; J v in forward mode and J^T u in reverse mode of torch, as there.
- oracle: the same iteration, stopped at once when the first triplets have the residuals asked for.
- lowrank: randomised iteration as in `torch.svd_lowrank` (Halko, Martinsson, Tropp 2011) with eight vectors
  more than the rank, stopped by the same oracle.

What an oracle measures is not counted, and its triplets are the best within the newest block (Rayleigh-Ritz),
which the released code does not compute.

    python -m benchmarks.released
    python -m benchmarks.released --rank 2 --vectors 2
    python -m benchmarks.released --network random --points 2
    python -m benchmarks.released --network sd15 --points 1      # takes a while on a CPU
"""

import argparse
import time

import torch

from benchmarks.points import NETWORKS
from pullback_core import feature_jacobian, local_basis
from pullback_core.models.stop import output_of_block

RELEASED_BATCH, LEAST_ITERATIONS, MOST_ITERATIONS, CLOSE = 5, 12, 50, 1e-4
OVERSAMPLING, GIVEN_UP = 8, 5000


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--network", choices=NETWORKS, default="faces", help="others than faces are untrained"
    )
    parser.add_argument("--points", type=int, default=5, help="how many faces, or random latents")
    parser.add_argument("--timestep", type=float, default=0.7)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument(
        "--vectors",
        type=int,
        default=50,
        help="of the released code: 50, or 2 as for the edits of its README",
    )
    parser.add_argument("--tolerance", type=float, default=1e-2)
    options = parser.parse_args()

    denoiser, points = NETWORKS[options.network](options.points, options.timestep)
    print(
        f"{options.network}, rank {options.rank} to residuals of {options.tolerance:g} at "
        f"{options.timestep:g} T, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print(
        "point   products: krylov        released          oracle         lowrank"
        "   seconds: krylov        released   released's residual   max |s - s'| / s_1"
    )
    batch_size = 1 if options.network == "sd15" else None  # as in ComfyUI
    local_basis(denoiser, points[0], 1, max_products=8)  # the first products of a process are slow
    totals = torch.zeros(6, dtype=torch.float64)
    for number in range(len(points)):
        noisy = points[number]
        start = time.perf_counter()
        basis = local_basis(denoiser, noisy, options.rank, tolerance=options.tolerance, batch_size=batch_size)
        seconds = time.perf_counter() - start
        released, oracle, released_seconds, residual, s = run_released(denoiser, noisy, options)
        lowrank = run_lowrank(denoiser, noisy, options)
        row = torch.tensor(
            [basis.products, released, oracle, lowrank, seconds, released_seconds], dtype=torch.float64
        )
        difference = ((basis.s - s).abs().max() / s[0]).item()
        mark = "" if basis.converged else "  KRYLOV DID NOT CONVERGE"
        print(f"{number:5d}   {line(row)}   {residual:19.1e}   {difference:18.1e}{mark}", flush=True)
        totals += row
    print(f"  all   {line(totals)}")


def line(row):
    """Products and seconds of each way, with their multiples of ours."""
    products = "".join(f" {count:7.0f} {count / row[0]:6.1f}x" for count in row[1:4])
    return f"{int(row[0]):16d}{products}   {row[4]:15.2f} {row[5]:8.2f} {row[5] / row[4]:5.1f}x"


def subspace_iterations(forward, backward, block):
    """Yield without end: a block of vectors, their images J v, the returns J^T J v, the next block."""
    while True:
        images = forward(block)
        returns = backward(images)
        following = torch.linalg.svd(returns.flatten(1), full_matrices=False)[2].view_as(block)
        yield block, images, returns, following
        block = following


def leading(block, images, returns, rank):
    """The best `rank` triplets within a block: their largest residual, relative to s_1, and s (rank,)."""
    block, images, returns = (rows.flatten(1) for rows in (block, images, returns))
    s, mixture = torch.linalg.svd(images.T, full_matrices=False)[1:]
    s, mixture = s[:rank], mixture[:rank]
    residuals = (mixture @ returns / s[:, None] - s[:, None] * (mixture @ block)).norm(dim=1) / s[0]
    return residuals.max().item(), s


def run_released(denoiser, noisy, options):
    """(products, products of the oracle or infinity, seconds, largest residual at the end, s)."""
    jacobian = ReleasedJacobian(denoiser, noisy)
    steps = subspace_iterations(jacobian.jvp, jacobian.vjp, random_block(options.vectors, jacobian.z))
    seconds, oracle = 0.0, float("inf")
    for iteration in range(1, MOST_ITERATIONS + 1):
        start = time.perf_counter()
        *found, following = next(steps)
        seconds += time.perf_counter() - start
        residual, s = leading(*found, options.rank)
        if residual <= options.tolerance:
            oracle = min(oracle, jacobian.products)
        if iteration >= LEAST_ITERATIONS and torch.allclose(found[0], following, atol=CLOSE):
            break
    return jacobian.products, oracle, seconds, residual, s


class ReleasedJacobian:
    """Products as the released code computes them.

    Forward mode and reverse mode of torch, five at a time; h is computed anew for each five.
    """

    def __init__(self, denoiser, noisy):
        self.denoiser, self.sigma, self.products = denoiser, noisy.sigma, 0
        self.z = noisy.x[0] / denoiser.schedule.scale(noisy.sigma)

    def f(self, z):
        """h, by torch's own operations: forward mode does not know those of `Differentiable`."""
        denoiser = self.denoiser
        return output_of_block(
            denoiser._block,
            denoiser.feature,
            lambda: denoiser._velocity(z[None], self.sigma, denoiser.context),
        )[0]

    @torch.no_grad()
    def jvp(self, v):
        self.products += len(v)
        return torch.func.vmap(
            lambda one: torch.func.jvp(self.f, (self.z,), (one,))[1], chunk_size=RELEASED_BATCH
        )(v)

    @torch.no_grad()
    def vjp(self, u):
        self.products += len(u)
        return torch.cat(
            [torch.func.vmap(torch.func.vjp(self.f, self.z)[1])(part)[0] for part in u.split(RELEASED_BATCH)]
        )


def run_lowrank(denoiser, noisy, options):
    """Its products, infinity if it is given up. It starts from the image of a random block."""
    jacobian = feature_jacobian(denoiser, noisy)
    width = options.rank + OVERSAMPLING
    images = jacobian.jvp(random_block(width, jacobian.x))
    block = torch.linalg.qr(images.flatten(1).T)[0].T.reshape(images.shape)
    for *found, _ in subspace_iterations(jacobian.vjp, jacobian.jvp, block):
        if leading(*found, options.rank)[0] <= options.tolerance:
            return jacobian.products - width  # the last images only measure
        if jacobian.products > GIVEN_UP:
            return float("inf")


def random_block(count, z):
    rows = torch.randn(z.numel(), count, generator=torch.Generator().manual_seed(0))
    return torch.linalg.qr(rows)[0].T.reshape(count, *z.shape)


if __name__ == "__main__":
    main()
