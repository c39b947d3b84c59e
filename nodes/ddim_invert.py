from comfy_api.latest import io

from ..pullback_core import ddim
from . import host
from .inputs import (
    CATEGORY,
    clean_latent_input,
    conditioning_input,
    count_input,
    model_input,
    refine_input,
)
from .ui import SENT_AGAIN, noisy_already, round_trip_report, shown_text


class DDIMInvert(io.ComfyNode):
    MENU_POSITION = 10

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
                count_input(
                    "steps",
                    "DDIM steps from the picture to the noise. More is more exact.",
                    default=40,
                    largest=1000,
                ),
                io.Float.Input(
                    "timestep",
                    default=0.7,
                    min=0.01,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How far: the fraction of the way to pure noise. High values change shapes, "
                    "low ones details.",
                ),
                refine_input(),
                io.Boolean.Input(
                    "measure",
                    default=True,
                    tooltip="Generate the picture again to measure the error of the round trip. Takes "
                    "one more sampling.",
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
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, model, conditioning, latent, steps, timestep, refine, measure):
        sigmas = host.ddim_sigmas(model, steps, timestep)
        advice = host.advice_on_size(cls, model, latent)
        bar = host.Progress(steps * (2 if measure else 1), model)

        def show(noisy):
            bar.step_noisy(noisy, host.schedule_of(model))

        def work(denoiser, x0):
            noisy = ddim.invert(denoiser, x0, sigmas, refine=refine, progress=show)
            if not measure or not x0.any():
                return x0, noisy, None
            back = ddim.generate(denoiser, noisy, progress=bar.step)
            return x0, noisy, ddim.relative_error(back, x0)

        x0, noisy, error = host.while_sampling(model, conditioning, latent, work)
        report = "not measured" if error is None else round_trip_report(error)
        report += noisy_already(latent)
        if advice:
            report += f"\n{advice}"
        shown = shown_text(cls, report)
        origins = host.inverted_origins(latent, x0, sigmas)
        noisy = host.noisy_latent(model, noisy, latent, origins)
        return io.NodeOutput(noisy, sigmas, report, ui=shown)
