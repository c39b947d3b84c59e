from comfy_api.latest import io, ui

from ..pullback_core import compare_features, feature_table, figures
from ..pullback_core.compare_features import evenly_spread
from ..pullback_core.models.denoiser import PICTURE
from . import host
from .checks import require_noise, require_single_noisy_latent
from .inputs import (
    CATEGORY,
    FLOAT32,
    conditioning_input,
    model_input,
    noisy_latent_input,
    precision_input,
    rank_input,
    sigmas_input,
)
from .ui import SENT_AGAIN, SearchStatus, feature_choices, shown_text

TOLERANCE = 0.05  # a loose one is enough for a comparison


class ExplainFeatures(io.ComfyNode):
    MENU_POSITION = 150

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackExplainFeatures",
            display_name="Explain Features",
            category=CATEGORY,
            description="Compares the blocks of the model and its predicted picture: how few directions each "
            "has, how straight its map is, what it costs.",
            inputs=[
                model_input(),
                conditioning_input(),
                noisy_latent_input(),
                sigmas_input(),
                io.String.Input(
                    "features",
                    default="",
                    tooltip="Blocks, with commas between them, or picture. Empty: some blocks over the whole "
                    "depth, with the default one, and picture.",
                ),
                rank_input(),
                precision_input(),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="The table, in columns of one width."),
                io.Image.Output(
                    display_name="decay", tooltip="How fast the singular values of each block fall."
                ),
                io.String.Output(
                    display_name="features",
                    is_output_list=True,
                    tooltip="The blocks that were compared, as a list. Nodes after it run once for each.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, model, conditioning, latent, sigmas, features, rank, precision):
        require_single_noisy_latent(model, latent, sigmas)
        names = _feature_names(model, features)

        def work(denoiser, noisy):
            require_noise(denoiser, latent, noisy)
            checked, refused = host.check_features(denoiser, noisy, names)
            headings = [f"{number + 1} of {len(checked)}: " for number in range(len(checked))]
            status = SearchStatus(cls, TOLERANCE, headings)
            reports = compare_features(
                checked, noisy, rank, tolerance=TOLERANCE, progress=status.update_search
            )
            return reports, refused

        reports, refused = host.while_sampling(
            model,
            conditioning,
            latent,
            work,
            sigmas=sigmas,
            feature=max(names, key=host.features_of(model).index),  # the deepest one needs the most memory
            float32=precision == FLOAT32,
            products=True,
        )
        products = sum(report.products for report in reports)
        told = shown_text(cls, f"{len(reports)} features compared with {products} products")
        reasons = [f"{name}: {reason}" for name, reason in refused.items()]
        table = "\n".join([feature_table(reports), *reasons])
        decay = host.plot_of(figures.decay_plot, [(report.feature, report.s) for report in reports])
        preview = ui.PreviewImage(decay, cls=cls).as_dict()
        shown = {**preview, **told, "pullback_report": [table], **feature_choices(model)}
        return io.NodeOutput(table, decay, [report.feature for report in reports], ui=shown)


def _feature_names(model, text):
    """The features that a text names, without repetitions; for an empty text some over the whole depth."""
    named = [host.feature_named(model, name.strip()) for name in text.split(",") if name.strip()]
    if named:
        return list(dict.fromkeys(named))
    blocks = evenly_spread(host.blocks_of(model), host.feature_named(model, host.DEFAULT))
    return [*blocks, PICTURE]
