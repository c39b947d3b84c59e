"""How many Jacobian products does a basis cost? Block Krylov against the paper's subspace iteration.

Both find the same triplets of the same Jacobians to the same residuals, one after the other in this run.

    python -m benchmarks.products
"""

import argparse
import time

import torch

from benchmarks.points import faces_points
from pullback_core import local_basis


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=20)
    parser.add_argument("--timestep", type=float, default=0.7)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--tolerance", type=float, default=1e-2)
    parser.add_argument(
        "--limit", type=int, default=4000, help="products after which subspace iteration is given up"
    )
    options = parser.parse_args()

    denoiser, points = faces_points(options.faces, options.timestep)
    print(
        f"rank {options.rank} to residuals of {options.tolerance:g} at {options.timestep:g} T, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    print(
        "face   products (krylov, subspace, ratio)   seconds (krylov, subspace, ratio)   max |s - s'| / s_1"
    )
    local_basis(denoiser, points[0], 1, max_products=8)  # the first products of a process are slow
    totals = [0, 0, 0.0, 0.0]
    for number in range(len(points)):
        bases, seconds = [], []
        for method in ("krylov", "subspace"):
            start = time.perf_counter()
            bases.append(
                local_basis(
                    denoiser,
                    points[number],
                    options.rank,
                    tolerance=options.tolerance,
                    method=method,
                    max_products=options.limit,
                )
            )
            seconds.append(time.perf_counter() - start)
        krylov, subspace = bases
        mark = "" if subspace.converged else f"  subspace gave up at {subspace.residuals.max():.1e}"
        mark += "" if krylov.converged else "  KRYLOV DID NOT CONVERGE"
        difference = ((krylov.s - subspace.s).abs().max() / krylov.s[0]).item()
        print(
            f"{number:4d}   {krylov.products:8d} {subspace.products:10d} "
            f"{subspace.products / krylov.products:9.1f}x"
            f"   {seconds[0]:17.2f} {seconds[1]:10.2f} {seconds[1] / seconds[0]:9.1f}x"
            f"   {difference:.1e}{mark}",
            flush=True,
        )
        totals = [
            total + value for total, value in zip(totals, (krylov.products, subspace.products, *seconds))
        ]
    print(
        f" all   {totals[0]:8d} {totals[1]:10d} {totals[1] / totals[0]:9.1f}x"
        f"   {totals[2]:17.2f} {totals[3]:10.2f} {totals[3] / totals[2]:9.1f}x"
    )


if __name__ == "__main__":
    main()
