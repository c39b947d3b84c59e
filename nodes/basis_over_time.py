from comfy_api.latest import io

from ..pullback_core import bases_over_time
from . import host
from .checks import require_single_latent
from .inputs import (
    CATEGORY,
    FLOAT32,
    Basis,
    clean_latent_input,
    conditioning_input,
    count_input,
    feature_input,
    model_input,
    precision_input,
    rank_input,
    refine_input,
    seed_input,
    tolerance_input,
)
from .ui import SENT_AGAIN, SearchStatus, feature_choices, noisy_already, searches_report, shown_text


class BasisOverTime(io.ComfyNode):
    MENU_POSITION = 120

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackBasisOverTime",
            display_name="Basis Over Time",
            category=CATEGORY,
            description="Finds the directions of one picture at several timesteps, for the question at "
            "which of them to edit.",
            inputs=[
                model_input(),
                conditioning_input(),
                clean_latent_input(),
                io.String.Input(
                    "timesteps",
                    default="0.9, 0.7, 0.5, 0.3",
                    tooltip="Fractions of the way to pure noise, with commas between them, in any order.",
                ),
                count_input(
                    "steps",
                    "DDIM steps of the whole way to pure noise. More is more exact.",
                    default=40,
                    largest=1000,
                ),
                refine_input(),
                rank_input(),
                tolerance_input(),
                seed_input(),
                feature_input(),
                precision_input(),
            ],
            outputs=[
                Basis.Output(
                    display_name="PULLBACK_BASIS",
                    is_output_list=True,
                    tooltip="A list with one basis for each timestep, the lowest first. Nodes after it "
                    "run once for each.",
                ),
                io.Latent.Output(
                    display_name="LATENT",
                    is_output_list=True,
                    tooltip="The noisy latents of the timesteps, as a list.",
                ),
                io.Sigmas.Output(
                    display_name="SIGMAS",
                    is_output_list=True,
                    tooltip="The ways back from the timesteps, as a list.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(
        cls, model, conditioning, latent, timesteps, steps, refine, rank, tolerance, seed, feature, precision
    ):
        fractions = _fractions(timesteps)
        require_single_latent(latent)
        host.ddim_sigmas(model, 1, fractions[-1])  # refuses a timestep that the model cannot have
        host.advice_on_size(cls, model, latent)
        status = SearchStatus(cls, tolerance, [f"{fraction:.3g} T: " for fraction in fractions])

        def work(denoiser, x0):
            # Before the inversion, which takes long.
            checked = host.check_derivatives_over_time(denoiser, x0, fractions)
            return x0, bases_over_time(
                checked,
                x0,
                fractions,
                rank,
                steps=steps,
                refine=refine,
                tolerance=tolerance,
                seed=seed,
                progress=status.update_search,
            )

        x0, found = host.while_sampling(
            model, conditioning, latent, work, feature=feature, float32=precision == FLOAT32, products=True
        )
        bases, latents = [], []
        for basis, noisy in found:
            [origin] = host.inverted_origins(latent, x0, noisy.sigmas)
            bases.append(host.with_picture(basis.to("cpu"), origin))
            latents.append(host.noisy_latent(model, noisy, latent, [origin]))
        shown = shown_text(cls, searches_report(bases) + noisy_already(latent)) | feature_choices(model)
        return io.NodeOutput(bases, latents, [noisy.sigmas for _, noisy in found], ui=shown)


def _fractions(text):
    """The timesteps that a text names, without repetitions and rising. Refuses any other text."""
    try:
        fractions = sorted({float(part) for part in text.split(",")})
    except ValueError:
        fractions = []
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        shown = text if len(text) <= 60 else text[:60] + "..."
        raise ValueError(
            "The timesteps are fractions of the way to pure noise, above 0 and at most 1, with commas "
            f'between them, such as "0.9, 0.7, 0.5"; got {shown!r}.'
        )
    return fractions
