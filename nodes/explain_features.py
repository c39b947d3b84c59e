from comfy_api.latest import io, ui

from ..pullback_core import compare_features, feature_table, figures
from ..pullback_core.compare_features import evenly_spread
from . import host
from .inputs import (
    CATEGORY,
    FLOAT32,
    conditioning_input,
    first_level,
    model_input,
    noisy_latent_input,
    offered,
    only_one,
    precision_input,
    rank_input,
    require_noise,
    require_same_level,
    sigmas_input,
)

TOLERANCE = 0.05


class ExplainFeatures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackExplainFeatures",
            display_name="Explain Features",
            category=CATEGORY,
            description="Compares the blocks of the model: how few directions each has, how straight its map is, what it costs.",
            inputs=[
                model_input(),
                conditioning_input(),
                noisy_latent_input(),
                sigmas_input(),
                io.String.Input(
                    "features",
                    default="",
                    tooltip="Blocks, with commas between them. Empty: some over the whole depth, with the default one.",
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
        )

    @classmethod
    def execute(cls, model, conditioning, latent, sigmas, features, rank, precision):
        sigma = first_level(model, sigmas)
        only_one(latent)
        require_same_level(latent, sigma)
        named = [host.feature_named(model, name.strip()) for name in features.split(",") if name.strip()]
        names = list(dict.fromkeys(named)) or evenly_spread(
            host.features_of(model), host.feature_named(model, host.DEFAULT)
        )
        bar = host.Progress(100)
        refused = {}

        def show(index, products, residual):
            bar.update_residual(residual, TOLERANCE, index, len(names) - len(refused))
            host.show_status(
                cls,
                f"{index + 1} of {len(names) - len(refused)}: {products} products, residual {residual:.1e}",
            )

        def work(denoiser, noisy):
            require_noise(denoiser, latent, noisy)
            usable = []
            for one in map(denoiser.with_feature, names):
                try:
                    host.check_derivatives(one, noisy.x, noisy.sigma)
                    usable.append(one)
                except ValueError as error:  # in a deeper block alone, perhaps
                    refused[one.feature] = str(error)
            if not usable:
                raise ValueError(refused[names[0]])
            careful = next((one for one in usable if one.careful), usable[0])
            return compare_features(
                usable, noisy, rank, tolerance=TOLERANCE, progress=show, **careful.memory(noisy.x.shape[1:])
            )

        found = host.while_sampling(
            model,
            conditioning,
            latent,
            work,
            sigmas=sigmas,
            feature=names[0],
            float32=precision == FLOAT32,
            products=True,
        )
        report = "\n".join([feature_table(found), *(f"{name}: {reason}" for name, reason in refused.items())])
        decay = host.plot_of(figures.decay_plot, [(one.feature, one.s) for one in found])
        host.show_status(
            cls, f"{len(found)} features compared with {sum(one.products for one in found)} products"
        )
        shown = {**ui.PreviewImage(decay, cls=cls).as_dict(), "pullback_report": [report], **offered(model)}
        return io.NodeOutput(report, decay, [one.feature for one in found], ui=shown)
