from comfy_api.latest import io

from ..pullback_core import local_basis
from ..pullback_core.directions.averaging import averaged_basis, renoised
from ..pullback_core.directions.pictures import with_pictures
from ..pullback_core.directions.rotation import rotated_basis
from ..pullback_core.models.denoiser import PICTURE
from . import host
from .checks import require_noise, require_single_noisy_latent
from .inputs import (
    CATEGORY,
    FLOAT32,
    Basis,
    conditioning_input,
    count_input,
    feature_input,
    model_input,
    noisy_latent_input,
    precision_input,
    rank_input,
    seed_input,
    sigmas_input,
    tolerance_input,
)
from .ui import SENT_AGAIN, SearchStatus, feature_choices, search_report, shown_text

NO_ROTATION, ONE_THING_EACH = "none", "one thing each"  # the options of `rotate`
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
                io.Combo.Input(
                    "rotate",
                    options=[NO_ROTATION, ONE_THING_EACH],
                    default=NO_ROTATION,
                    optional=True,
                    tooltip="Turn the directions so that each changes one thing in the picture. Best with "
                    "the feature picture and rank 16; look at the first 8.",
                ),
                count_input(
                    "average",
                    "Over how many noises of the picture to average. 1 takes the noise of the latent alone; "
                    "4 takes four times as long, and the directions depend less on the noise.",
                    largest=16,
                    optional=True,
                ),
                io.Boolean.Input(
                    "keep",
                    default=False,
                    optional=True,
                    tooltip="Keep all that the search learned, for masks and words. The basis becomes "
                    "several times as large.",
                ),
            ],
            outputs=[Basis.Output(display_name="PULLBACK_BASIS")],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        model,
        conditioning,
        latent,
        sigmas,
        rank,
        tolerance,
        seed,
        feature,
        precision,
        rotate=NO_ROTATION,
        average=1,
        keep=False,
    ):
        require_single_noisy_latent(model, latent, sigmas)
        [origin] = host.origins_of(latent)
        clean = _clean_picture(origin) if average > 1 else None
        status = SearchStatus(cls, tolerance)

        def work(denoiser, noisy):
            require_noise(denoiser, latent, noisy)
            checked = host.check_derivatives(denoiser, noisy)
            options = {
                "tolerance": tolerance,
                "seed": seed,
                "progress": status.update,
                "keep_space": keep,
            }
            if average > 1:
                several = renoised(noisy, clean, checked.schedule, average, seed=seed)
                basis = averaged_basis(checked, several, rank, **options)
            else:
                basis = local_basis(checked, noisy, rank, **options)
            if rotate == ONE_THING_EACH:
                basis = rotated_basis(_with_pictures(basis, denoiser, noisy))
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
        basis = host.with_picture(basis, origin)
        report = search_report(basis)
        if inexact > INEXACT:
            used = basis.provenance["precision"]
            report += f"; in {used} they differ by {inexact:.0%} from those in float32, see precision"
        return io.NodeOutput(basis, ui=shown_text(cls, report) | feature_choices(model))


def _clean_picture(origin):
    """The clean picture of an `Origin`, (c, h, w). Raises ValueError where it is unknown."""
    if origin is None or origin.clean is None:
        raise ValueError(
            "The clean picture of this latent is unknown, so there is nothing to average over: connect the "
            "latent of DDIM Invert, or set average to 1."
        )
    return origin.clean


def _with_pictures(basis, denoiser, noisy):
    """The basis with what its directions do to the picture, which takes another check of the model."""
    if basis.provenance["feature"] == PICTURE:
        return basis
    checked = host.check_derivatives(denoiser.with_feature(PICTURE), noisy)
    return with_pictures(basis, checked, noisy)
