"""How good is the bundled model? Inversion, obedience to every word, and cleanness of its samples.

python -m benchmarks.quality
"""

import argparse

import torch
from tqdm import tqdm

from pullback_core import NoisyLatent, ddim, faces, figures
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
    model = faces.load_model(options.model)
    sampler = Sampler(model, options.steps)
    drawings = faces.example_faces(range(options.faces))
    print_round_trips(model, drawings, options.steps)

    free = sampler.sample("", 64, 1.0)
    print(f"off face: {off_face(free):.3f} (samples without prompt), {off_face(drawings):.3f} (drawings)")
    truth = faces.sample_parameters(5000, torch.Generator().manual_seed(1))
    spread = faces.load_regressor()(free).std(dim=0) / truth.std(dim=0)
    shown = [f"{name} {value:.2f}" for name, value in zip(faces.NAMES, spread.tolist())]
    print("spread of each attribute over samples, relative to drawings: " + ", ".join(shown))
    print_obedience(sampler, truth, options)
    if options.picture:
        figures.save_picture(sample_sheet(sampler.sample, free), options.picture)


class Sampler:
    """Samples of the model under prompts, each from fresh noise."""

    def __init__(self, model, steps):
        self.model, self.steps, self.generator = model, steps, torch.Generator().manual_seed(0)

    def sample(self, prompt, count, guidance):
        denoiser = faces.FacesDenoiser(self.model, prompt, guidance=guidance)
        sigmas = denoiser.schedule.sigmas(self.steps)
        noise = torch.randn(count, self.model.unet.config.in_channels, 16, 16, generator=self.generator)
        x = ddim.generate(denoiser, NoisyLatent(sigmas[0] * noise, sigmas))
        return faces.decode_latent(x).clamp(-1, 1)


def off_face(image):
    """How far pictures are from the drawings with the attributes read from them."""
    drawn = faces.draw_faces(faces.load_regressor()(image))
    return (image - drawn).square().mean(dim=(1, 2, 3)).sqrt().mean().item()


def print_round_trips(model, drawings, steps):
    denoiser = faces.FacesDenoiser(model)
    for timestep in (1.0, 0.7):
        sigmas = denoiser.schedule.sigmas(steps, start=timestep)
        for refine in (0, 2, 6):
            noisy = ddim.invert(denoiser, faces.encode_image(drawings), sigmas, refine=refine)
            values = psnr(faces.decode_latent(ddim.generate(denoiser, noisy)), drawings)
            print(
                f"round trip to {timestep:g} T, {steps} steps, {refine} corrections: "
                f"{values.mean():.1f} dB on average, {values.min():.1f} dB at worst",
                flush=True,
            )


def print_obedience(sampler, truth, options):
    """How often samples under one word have what the word says. truth: parameters of random drawings."""
    print(
        f"obedience to one word at guidance {options.guidance:g} "
        "(chance: the share of random drawings that have it)"
    )
    regressor, chance, hits = faces.load_regressor(), vocabulary.classify(truth), []
    for slot, phrases in vocabulary.PHRASES.items():
        column = vocabulary.SLOTS.index(slot)
        for phrase in tqdm(phrases, desc=slot, leave=False):
            token = vocabulary.TOKEN[phrase]
            pictures = sampler.sample(phrase, options.samples, options.guidance)
            right = (vocabulary.classify(regressor(pictures))[:, column] == token).float().mean().item()
            expected = (chance[:, column] == token).float().mean()
            hits.append(right)
            print(f"  {phrase:20s} {right:5.0%}   (chance {expected:.0%})", flush=True)
    print(f"  all words            {sum(hits) / len(hits):5.0%}")


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
