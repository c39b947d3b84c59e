"""How many products does a basis of the predicted picture cost, against one of the bottleneck?

Both are found at the same noisy latents of the bundled model to the same residuals. The ratio is that of the
means over faces, with its 95% bootstrap interval over faces.

    python -m benchmarks.picture_products
"""

import argparse

import torch

from benchmarks.points import faces_points
from pullback_core import faces, local_basis
from pullback_core.evaluate.statistics import ratio
from pullback_core.models.denoiser import PICTURE


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=40)
    parser.add_argument("--timesteps", type=float, nargs="+", default=(0.5, 0.7))
    parser.add_argument("--ranks", type=int, nargs="+", default=(8, 16), help="of the picture's basis")
    parser.add_argument("--rank", type=int, default=8, help="of the bottleneck's basis")
    parser.add_argument("--tolerance", type=float, default=1e-2)
    options = parser.parse_args()
    print(
        f"residuals of {options.tolerance:g}, {options.faces} faces, torch {torch.__version__}\n"
        "    T    middle, rank   products    picture, rank   products    ratio [95% interval]"
    )
    for timestep in options.timesteps:
        denoiser, points = faces_points(options.faces, timestep)
        picture = faces.FacesDenoiser(denoiser.model, feature=PICTURE)
        below = _products(denoiser, points, options.rank, options.tolerance)
        for rank in options.ranks:
            above = _products(picture, points, rank, options.tolerance)
            value, low, high = ratio(above, below)
            print(
                f"{timestep:5g} {options.rank:15d} {sum(below) / len(below):10.1f} {rank:16d} "
                f"{sum(above) / len(above):10.1f}    {value:.2f} [{low:.2f}, {high:.2f}]",
                flush=True,
            )


def _products(denoiser, points, rank, tolerance):
    """The products of the search at each noisy latent."""
    counts = []
    for index in range(len(points)):
        basis = local_basis(denoiser, points[index], rank, tolerance=tolerance)
        assert basis.converged, f"the search at face {index} did not converge"
        counts.append(basis.products)
    return counts


if __name__ == "__main__":
    main()
