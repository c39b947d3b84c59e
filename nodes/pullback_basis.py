from dataclasses import replace

from comfy_api.latest import io

from ..pullback_core import local_basis
from . import host
from .common import CATEGORY, Basis, conditioning_input, first_level, model_input, noisy_latent_input, only_one, sigmas_input

AS_LOADED, FLOAT32 = "as the model", "float32"


class PullbackBasisNode(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackBasis",
            display_name="Pullback Basis",
            category=CATEGORY,
            description="Finds the directions in which this noisy picture can change, strongest first.",
            inputs=[
                model_input(),
                conditioning_input(),
                noisy_latent_input(),
                sigmas_input(),
                io.Int.Input("rank", default=8, min=1, max=64, tooltip="How many directions to find. Twice as many take twice as long."),
                io.Float.Input("tolerance", default=0.01, min=1e-5, max=0.5, step=1e-5, round=1e-6,
                               tooltip="The largest error of a direction, as a fraction of the strongest. Smaller takes longer."),
                io.Int.Input("seed", default=0, min=0, max=2**63 - 1, control_after_generate=False,
                             tooltip="Of the vectors the search starts from. The directions do not depend on it, beyond the tolerance."),
                io.String.Input("feature", default="middle",
                                tooltip="The block of the UNet whose response counts: middle (the bottleneck), input_0 ..., output_0 ..."),
                io.Combo.Input("precision", options=[AS_LOADED, FLOAT32], default=AS_LOADED,
                               tooltip="float32 computes more exactly, and needs more memory and time, if the model is in half precision."),
            ],
            outputs=[Basis.Output(display_name="PULLBACK_BASIS")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, conditioning, latent, sigmas, rank, tolerance, seed, feature, precision):
        sigma = first_level(sigmas)
        only_one(latent)
        bar = host.Progress(100)

        def show(products, residual):
            bar.near(residual, tolerance)
            host.say(cls, f"{products} products, residual {residual:.1e}")

        def work(denoiser, x):
            z = denoiser.schedule.to_network(x, sigma)
            host.check_derivatives(denoiser, z, sigma)
            return local_basis(
                denoiser, z, sigma, rank, tolerance=tolerance, seed=seed, progress=show, batch_size=denoiser.batch_size(z.shape[1:])
            )

        basis = host.run(model, conditioning, latent, work, feature=feature, float32=precision == FLOAT32)
        basis = replace(basis, **{name: getattr(basis, name).cpu() for name in ("v", "s", "u", "residuals")})
        state = "" if basis.converged else "not fully converged: "
        host.say(cls, f"{state}residual {basis.residuals.max():.1e} after {basis.products} products")
        return io.NodeOutput(basis)
