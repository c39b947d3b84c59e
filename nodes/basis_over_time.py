import torch
from comfy_api.latest import io

from ..pullback_core import bases_over_time
from . import host
from .inputs import (
    CATEGORY,
    FLOAT32,
    Basis,
    clean_latent_input,
    conditioning_input,
    feature_input,
    model_input,
    noisy_already,
    of_picture,
    offered,
    on_cpu,
    only_one,
    precision_input,
    rank_input,
    refine_input,
    seed_input,
    tolerance_input,
)


class BasisOverTime(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackBasisOverTime",
            display_name="Basis Over Time",
            category=CATEGORY,
            description="Finds the directions of one picture at several timesteps, for the question at which of them to edit.",
            inputs=[
                model_input(),
                conditioning_input(),
                clean_latent_input(),
                io.String.Input(
                    "timesteps",
                    default="0.9, 0.7, 0.5, 0.3",
                    tooltip="Fractions of the way to pure noise, with commas between them, in any order.",
                ),
                io.Int.Input(
                    "steps",
                    default=40,
                    min=1,
                    max=1000,
                    tooltip="DDIM steps of the whole way to pure noise. More is more exact.",
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
                    tooltip="A list with one basis for each timestep, the lowest first. Nodes after it run once for each.",
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
        )

    @classmethod
    def execute(
        cls, model, conditioning, latent, timesteps, steps, refine, rank, tolerance, seed, feature, precision
    ):
        fractions = _fractions(timesteps)
        only_one(latent)
        host.ddim_sigmas(model, 1, fractions[-1])
        host.advice_on_size(cls, model, latent)
        bar = host.Progress(100)

        def show(index, products, residual):
            bar.update_residual(residual, tolerance, index, len(fractions))
            host.show_status(cls, f"{fractions[index]:.3g} T: {products} products, residual {residual:.1e}")

        def work(denoiser, x):
            # Derivatives are right or wrong whatever the point, so those with plain noise serve, before the long inversion.
            noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0)).to(x)
            for sigma in map(
                denoiser.schedule.sigma, fractions
            ):  # patches may be active at some noise levels only
                host.check_derivatives(denoiser, denoiser.schedule.add_noise(x, noise, sigma), sigma)
            return x, bases_over_time(
                denoiser,
                x,
                fractions,
                rank,
                steps=steps,
                refine=refine,
                tolerance=tolerance,
                seed=seed,
                progress=show,
                **denoiser.memory(x.shape[1:]),
            )

        x0, moments = host.while_sampling(
            model, conditioning, latent, work, feature=feature, float32=precision == FLOAT32, products=True
        )
        origins = [host.inverted_origins(latent, x0, moment.noisy.sigmas) for moment in moments]
        bases = [
            of_picture(on_cpu(moment.basis), origin.picture) for moment, [origin] in zip(moments, origins)
        ]
        worst = max(bases, key=lambda basis: basis.residuals.max())
        state = "" if all(basis.converged for basis in bases) else "not fully converged: "
        state += f"residual {worst.residuals.max():.1e} or less after {sum(basis.products for basis in bases)} products"
        host.show_status(cls, state + noisy_already(latent))
        latents = [
            host.noisy_latent(model, moment.noisy, latent, origin) for moment, origin in zip(moments, origins)
        ]
        return io.NodeOutput(bases, latents, [moment.noisy.sigmas for moment in moments], ui=offered(model))


def _fractions(text):
    """The timesteps that a text names, each once and rising. Raises ValueError for anything else."""
    try:
        fractions = sorted({float(part) for part in text.split(",")})
    except ValueError:
        fractions = []
    if not fractions or not all(0 < fraction <= 1 for fraction in fractions):
        shown = text if len(text) <= 60 else text[:60] + "..."
        raise ValueError(
            "The timesteps are fractions of the way to pure noise, above 0 and at most 1, with commas between them, "
            f'such as "0.9, 0.7, 0.5"; got {shown!r}.'
        )
    return fractions
