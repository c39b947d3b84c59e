"""How many products does a basis at a neighbouring timestep save as the start of a search? The bundled model.

Faces are inverted to just below a timestep and, by one more step of the inversion, to it. There a basis is searched from nothing, from
the basis just below, and from the very answer, beside the cosine of the largest angle between the two spaces.

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
    schedule, latents = denoiser.schedule, faces.encode_image(faces.example_faces(range(options.faces)))
    print(f"rank {options.rank} to residuals of 0.01, {options.faces} faces, torch {torch.__version__}")
    print("    T      gap   products: cold            warm     from the answer   smallest cosine (mean)")
    for timestep in TIMESTEPS:
        for gap in GAPS:
            levels = schedule.sigmas(round(50 * timestep), start=timestep - gap)
            below = ddim.invert(denoiser, latents, levels.flip(0), refine=4)
            step = torch.tensor([levels[0].item(), schedule.sigma(timestep)])
            points = [
                schedule.to_network(x, level)
                for x, level in zip((below, ddim.invert(denoiser, below, step, refine=4)), step)
            ]
            counts, cosines = torch.zeros(3), []
            for before, z in zip(*points):

                def search(point, level, start=None):
                    return local_basis(
                        denoiser, point, level.item(), options.rank, start=start, batch_size=options.together
                    )

                old, cold = search(before, step[0]), search(z, step[1])
                warm, exact = search(z, step[1], old), search(z, step[1], cold)
                counts += torch.tensor([cold.products, warm.products, exact.products])
                cosines.append(torch.linalg.svdvals(old.v.flatten(1) @ cold.v.flatten(1).T)[-1].item())
            cold, warm, exact = counts.tolist()
            print(
                f"{timestep:5g} {gap:8g} {cold:16.0f} {warm:7.0f} {warm / cold:7.2f} {exact:9.0f} {exact / cold:7.2f} "
                f"{sum(cosines) / len(cosines):16.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
