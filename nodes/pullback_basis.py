from comfy_api.latest import io

from ..pullback_core import local_basis
from . import host
from .inputs import (
    CATEGORY,
    FLOAT32,
    Basis,
    conditioning_input,
    feature_input,
    first_level,
    model_input,
    noisy_latent_input,
    of_picture,
    offered,
    on_cpu,
    only_one,
    precision_input,
    rank_input,
    require_noise,
    require_same_level,
    seed_input,
    sigmas_input,
    tolerance_input,
)

INEXACT = 0.2  # of a product in half precision, from where on the user is told


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
                rank_input(),
                tolerance_input(),
                seed_input(),
                feature_input(),
                precision_input(),
            ],
            outputs=[Basis.Output(display_name="PULLBACK_BASIS")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, conditioning, latent, sigmas, rank, tolerance, seed, feature, precision):
        sigma = first_level(model, sigmas)
        only_one(latent)
        require_same_level(latent, sigma)
        bar = host.Progress(100)

        def show(products, residual):
            bar.update_residual(residual, tolerance)
            host.show_status(cls, f"{products} products, residual {residual:.1e}")

        def work(denoiser, noisy):
            require_noise(denoiser, latent, noisy)
            errors = host.check_derivatives(denoiser, noisy.x, noisy.sigma)
            return errors.precision, local_basis(
                denoiser,
                noisy,
                rank,
                tolerance=tolerance,
                seed=seed,
                progress=show,
                **denoiser.memory(noisy.x.shape[1:]),
            )

        inexact, basis = host.while_sampling(
            model,
            conditioning,
            latent,
            work,
            sigmas=sigmas,
            feature=feature,
            float32=precision == FLOAT32,
            products=True,
        )
        [origin] = host.origins_of(latent)
        basis = of_picture(on_cpu(basis), origin.picture if origin else "")
        report = "" if basis.converged else "not fully converged: "
        report += f"residual {basis.residuals.max():.1e} after {basis.products} products"
        if inexact > INEXACT:
            report += f"; in {basis.provenance['precision']} they differ by {inexact:.0%} from those in float32, see precision"
        host.show_status(cls, report)
        return io.NodeOutput(basis, ui=offered(model))
