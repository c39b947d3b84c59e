from comfy_api.latest import io

from ..pullback_core import ddim
from . import host
from .inputs import (
    CATEGORY,
    clean_latent_input,
    conditioning_input,
    model_input,
    noisy_already,
    recovered,
    refine_input,
)


class DDIMInvert(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackDDIMInvert",
            display_name="DDIM Invert",
            category=CATEGORY,
            description="Turns a picture into the noise from which the model makes it again.",
            inputs=[
                model_input(),
                conditioning_input(),
                clean_latent_input(),
                io.Int.Input(
                    "steps",
                    default=40,
                    min=1,
                    max=1000,
                    tooltip="DDIM steps from the picture to the noise. More is more exact.",
                ),
                io.Float.Input(
                    "timestep",
                    default=0.7,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How far: the fraction of the way to pure noise. High values change shapes, low ones details.",
                ),
                refine_input(),
                io.Boolean.Input(
                    "measure",
                    default=True,
                    tooltip="Generate the picture again to measure the error of the round trip. Takes one more sampling.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="LATENT",
                    tooltip="The noisy latent. Samplers continue from it with add_noise off and cfg 1.",
                ),
                io.Sigmas.Output(
                    display_name="SIGMAS", tooltip="The way back, for SamplerCustom with euler or ddim."
                ),
                io.String.Output(display_name="report", tooltip="How much of the picture comes back."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, conditioning, latent, steps, timestep, refine, measure):
        levels = host.ddim_sigmas(model, steps, timestep)
        advice = host.advice_on_size(cls, model, latent)
        bar = host.Progress(steps * (2 if measure else 1), model)

        def work(denoiser, x):
            way = iter(levels.flip(0)[1:])

            def show(noisy):
                bar.step(denoiser.schedule.to_network(noisy, float(next(way))))

            noisy = ddim.invert(denoiser, x, levels.flip(0), refine=refine, progress=show)
            back = ddim.generate(denoiser, noisy, levels, progress=bar.step) if measure and x.any() else None
            return x, noisy, None if back is None else ddim.relative_error(back, x)

        x0, noisy, error = host.while_sampling(model, conditioning, latent, work)
        sigma = float(levels[0])
        report = ("not measured" if error is None else recovered(error)) + noisy_already(latent)
        report = "\n".join(filter(None, [report, advice]))
        host.show_status(cls, report)
        origins = host.inverted_origins(latent, x0, levels)
        return io.NodeOutput(host.latent_of(model, noisy, latent, sigma, origins), levels, report)
