from comfy_api.latest import io

from ..pullback_core.directions.masked_search import RANK, search_within
from ..pullback_core.directions.masks import LEAST, masked_basis
from ..pullback_core.models.denoiser import PICTURE
from . import host
from .checks import require_own_basis, require_single_noisy_latent
from .inputs import CATEGORY, Basis, count_input
from .ui import SENT_AGAIN, SearchStatus, shown_text

SETTLED = 0.01  # the residual at which the bar of the search is full


class MaskBasis(io.ComfyNode):
    MENU_POSITION = 62

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackMaskBasis",
            display_name="Mask Basis",
            category=CATEGORY,
            description="Finds what a basis can change inside a mask alone, without running the model.",
            inputs=[
                Basis.Input(
                    "basis",
                    tooltip="From Pullback Basis with the feature picture and keep on. The more it learned, "
                    "the better.",
                ),
                io.Mask.Input(
                    "mask",
                    tooltip="White where the picture may change, of any size. Several make directions for "
                    "each of them, one after another.",
                ),
                count_input("count", "How many directions for each mask, at most.", default=4),
                io.Float.Input(
                    "least",
                    default=LEAST,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="The smallest share of a direction's change that lies inside. Lower gives more "
                    "directions, which change more outside.",
                ),
                io.Boolean.Input(
                    "search",
                    default=False,
                    tooltip="Run the model to learn more about the inside of the mask. Takes the four inputs "
                    "below, as Pullback Basis has them.",
                ),
                io.Model.Input("model", optional=True, tooltip="The model of the basis."),
                io.Conditioning.Input(
                    "conditioning", optional=True, tooltip="The conditioning of the basis."
                ),
                io.Latent.Input("latent", optional=True, tooltip="The noisy latent of the basis."),
                io.Sigmas.Input("sigmas", optional=True, tooltip="The way back from that latent."),
            ],
            outputs=[
                Basis.Output(
                    display_name="PULLBACK_BASIS", tooltip="The directions inside the mask, strongest first."
                ),
                io.Float.Output(
                    display_name="inside",
                    tooltip="The share of the change of the first direction that lies inside its mask.",
                ),
                io.String.Output(display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        basis,
        mask,
        count,
        least,
        search=False,
        model=None,
        conditioning=None,
        latent=None,
        sigmas=None,
    ):
        masks = host.masks_for_basis(mask, basis)
        if search:
            if None in (model, conditioning, latent) or sigmas is None:
                raise ValueError(
                    "A search within the mask runs the model; connect the model, conditioning, latent and "
                    "sigmas that Pullback Basis has, or turn search off."
                )
            basis = _searched(cls, basis, masks, count, model, conditioning, latent, sigmas)
        found = masked_basis(basis, masks, count, least=least)
        report = found.report()
        shown = shown_text(cls, report)
        return io.NodeOutput(found.basis, float(found.inside[0]), report, ui=shown)


def _searched(node, basis, masks, count, model, conditioning, latent, sigmas):
    """The basis with what a search within the masks finds."""
    require_single_noisy_latent(model, latent, sigmas)
    status = SearchStatus(node, SETTLED)
    start = basis if basis.provenance.get("feature") == PICTURE else None

    def work(denoiser, noisy):
        require_own_basis(denoiser, basis, latent, noisy)
        checked = host.check_derivatives(denoiser, noisy)
        return search_within(checked, noisy, masks, max(RANK, count), start=start, progress=status.update).to(
            "cpu"
        )

    found = host.while_sampling(
        model, conditioning, latent, work, sigmas=sigmas, feature=PICTURE, products=True
    )
    [origin] = host.origins_of(latent)
    return host.with_picture(found, origin)
