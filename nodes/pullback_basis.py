from comfy_api.latest import io

from ..pullback_core import local_basis
from . import host
from .checks import require_noise, require_single_noisy_latent
from .inputs import (
    CATEGORY,
    FLOAT32,
    Basis,
    conditioning_input,
    feature_input,
    model_input,
    noisy_latent_input,
    precision_input,
    rank_input,
    seed_input,
    sigmas_input,
    tolerance_input,
)
from .ui import SearchStatus, feature_choices, search_report

INEXACT = 0.2  # the report names an error of half precision that is larger than this


class PullbackBasisNode(io.ComfyNode):
    MENU_POSITION = 20

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
        require_single_noisy_latent(model, latent, sigmas)
        status = SearchStatus(cls, tolerance)

        def work(denoiser, noisy):
            require_noise(denoiser, latent, noisy)
            checked = host.check_derivatives(denoiser, noisy)
            basis = local_basis(checked, noisy, rank, tolerance=tolerance, seed=seed, progress=status.update)
            return basis.to("cpu"), checked.errors.precision

        basis, inexact = host.while_sampling(
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
        basis = host.with_picture(basis, origin)
        report = search_report(basis)
        if inexact > INEXACT:
            used = basis.provenance["precision"]
            report += f"; in {used} they differ by {inexact:.0%} from those in float32, see precision"
        host.show_status(cls, report)
        return io.NodeOutput(basis, ui=feature_choices(model))
