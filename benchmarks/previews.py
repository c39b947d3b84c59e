"""How many cells a second does the Basis Visualizer draw? Fast mode against full mode, on the bundled model.

Both edit the same face along the same directions at the same strengths. Fast: one step of guidance each way,
lengthened, and a prediction of the end. Full: every cell edited and sampled to the end.

    python -m benchmarks.previews
"""

import argparse
import time

import torch

from benchmarks.points import faces_points
from pullback_core import ddim, edit_grid, faces, local_basis


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--directions", type=int, default=5)
    parser.add_argument("--strengths", type=int, default=7)
    parser.add_argument("--timestep", type=float, default=0.7)
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    denoiser, noisy = faces_points(1, options.timestep, options.steps)
    basis = local_basis(denoiser, noisy, options.directions)
    strengths = torch.linspace(-1, 1, options.strengths).tolist()

    def cells(quick):
        edits = edit_grid(denoiser, noisy, basis, strengths, quick=quick)
        with torch.no_grad():
            if quick:
                return faces.decode_latent(denoiser.denoise(edits.x, edits.sigma))
            return faces.decode_latent(ddim.generate(denoiser, edits))

    count = options.directions * options.strengths
    print(
        f"{options.directions} directions at {options.strengths} strengths, {options.timestep:g} T of "
        f"{options.steps} steps, torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    cells(True)  # the first evaluations of a process are slow
    seconds = {}
    for mode in ("fast", "full"):
        start = time.perf_counter()
        assert len(cells(mode == "fast")) == count
        seconds[mode] = time.perf_counter() - start
        print(f"{mode}: {count / seconds[mode]:7.1f} cells a second ({seconds[mode]:.2f} s for {count})")
    print(f"fast is {seconds['full'] / seconds['fast']:.1f} times as fast")


if __name__ == "__main__":
    main()
