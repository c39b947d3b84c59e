"""How good is the bundled model? Inversion, obedience to every word, and cleanness of its samples.

python -m benchmarks.quality
"""

import argparse

import torch
from tqdm import tqdm

from pullback_core import ddim, faces, figures
from pullback_core.faces import vocabulary


def psnr(a, b):
    return 10 * torch.log10(4 / (a - b).square().mean(dim=(1, 2, 3)))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=faces.WEIGHTS)
    parser.add_argument("--faces", type=int, default=20, help="held-out faces for the round trip")
    parser.add_argument("--samples", type=int, default=16, help="samples for each word")
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--picture", help="write a sheet of samples to this PNG file")
    options = parser.parse_args()
    model, regressor = faces.load_model(options.model), faces.load_regressor()
    generator = torch.Generator().manual_seed(0)
    schedule = model.schedule

    def sample(prompt, count, guidance, steps=options.steps):
        denoiser = faces.FacesDenoiser(model, prompt, guidance=guidance)
        noise = torch.randn(count, model.unet.config.in_channels, 16, 16, generator=generator)
        x = ddim.generate(denoiser, schedule.sigma_max * noise, schedule.sigmas(steps))
        return faces.decode_latent(x).clamp(-1, 1)

    def off_face(image):
        return (image - faces.draw_faces(regressor(image))).square().mean(dim=(1, 2, 3)).sqrt().mean().item()

    denoiser = faces.FacesDenoiser(model)
    drawings = faces.example_faces(range(options.faces))
    for timestep in (1.0, 0.7):
        levels = schedule.sigmas(options.steps, start=timestep)
        for refine in (0, 2, 6):
            x = ddim.invert(denoiser, faces.encode_image(drawings), levels.flip(0), refine=refine)
            back = faces.decode_latent(ddim.generate(denoiser, x, levels))
            values = psnr(back, drawings)
            print(
                f"round trip to {timestep:g} T, {options.steps} steps, {refine} corrections: "
                f"{values.mean():.1f} dB on average, {values.min():.1f} dB at worst",
                flush=True,
            )

    free = sample("", 64, 1.0)
    read = regressor(free)
    print(f"off face: {off_face(free):.3f} (samples without prompt), {off_face(drawings):.3f} (drawings)")
    truth = faces.sample_parameters(5000, torch.Generator().manual_seed(1))
    spread = read.std(dim=0) / truth.std(dim=0)
    print(
        "spread of each attribute over samples, relative to drawings: "
        + ", ".join(f"{name} {value:.2f}" for name, value in zip(faces.NAMES, spread.tolist()))
    )

    print(
        f"obedience to one word at guidance {options.guidance:g} (chance: the share of random drawings that have it)"
    )
    chance = vocabulary.classify(truth)
    hits = []
    for slot, phrases in vocabulary.PHRASES.items():
        column = vocabulary.SLOTS.index(slot)
        for phrase in tqdm(phrases, desc=slot, leave=False):
            token = vocabulary.TOKEN[phrase]
            seen = vocabulary.classify(regressor(sample(phrase, options.samples, options.guidance)))
            right = (seen[:, column] == token).float().mean().item()
            hits.append(right)
            print(
                f"  {phrase:20s} {right:5.0%}   (chance {(chance[:, column] == token).float().mean():.0%})",
                flush=True,
            )
    print(f"  all words            {sum(hits) / len(hits):5.0%}")

    if options.picture:
        figures.save_picture(sample_sheet(sample, free), options.picture)


def sample_sheet(sample, free, count=8):
    prompts = [
        "smiling, blond hair, long hair",
        "glasses, beard, hat",
        "old, bald, frowning",
        "dark skin, open mouth, blue background",
    ]
    rows = [("no prompt", list(free[:count])), ("", list(free[count : 2 * count]))]
    rows += [(prompt, list(sample(prompt, count, 2.0))) for prompt in prompts]
    return figures.contact_sheet(rows, [""] * count, title="Samples from pure noise", cell=112)


if __name__ == "__main__":
    main()
