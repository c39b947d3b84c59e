"""How many products does a basis at a neighbouring timestep save as the start of a search? The bundled model.

Faces are inverted to just below a timestep and, by one more step of the inversion, to it. There a basis is
searched from nothing, from the basis just below, and from the answer itself. The last column is the cosine of
the largest angle between the two spaces.

    python -m benchmarks.warm_start
"""

import argparse

import torch

from pullback_core import ddim, faces, local_basis

TIMESTEPS, GAPS = (0.5, 0.7, 0.9), (0.02, 0.005, 0.001, 0.0002)  # 0.02: of 50 timesteps


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=int, default=4)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument(
        "--together",
        type=int,
        help="products that run at once, of which the size of blocks depends; none: all",
    )
    options = parser.parse_args()
    denoiser = faces.FacesDenoiser(faces.load_model())
    latents = faces.encode_image(faces.example_faces(range(options.faces)))
    print(f"rank {options.rank} to residuals of 0.01, {options.faces} faces, torch {torch.__version__}")
    print("    T      gap   products: cold            warm     from the answer   smallest cosine (mean)")
    for timestep in TIMESTEPS:
        for gap in GAPS:
            (cold, warm, exact), cosine = compare(denoiser, latents, timestep, gap, options)
            print(
                f"{timestep:5g} {gap:8g} {cold:16.0f} {warm:7.0f} {warm / cold:7.2f} {exact:9.0f} "
                f"{exact / cold:7.2f} {cosine:16.2f}",
                flush=True,
            )


def compare(denoiser, latents, timestep, gap, options):
    """((products cold, warm, from the answer), the mean of the smallest cosines)."""
    schedule = denoiser.schedule
    sigmas = schedule.sigmas(round(50 * timestep), start=timestep - gap)
    below = ddim.invert(denoiser, latents, sigmas, refine=4)
    further = torch.cat([torch.tensor([schedule.sigma(timestep)]), sigmas])
    points = ddim.invert(denoiser, below, further, refine=4)

    def search(noisy, start=None):
        return local_basis(denoiser, noisy, options.rank, start=start, batch_size=options.together)

    counts, cosines = torch.zeros(3), []
    for number in range(len(points)):
        old, cold = search(below[number]), search(points[number])
        warm, exact = search(points[number], old), search(points[number], cold)
        counts += torch.tensor([cold.products, warm.products, exact.products])
        cosines.append(torch.linalg.svdvals(old.v.flatten(1) @ cold.v.flatten(1).T)[-1].item())
    return counts.tolist(), sum(cosines) / len(cosines)


if __name__ == "__main__":
    main()
