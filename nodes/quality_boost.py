from comfy_api.latest import io

from . import host
from .checks import require_kept_parts
from .inputs import CATEGORY


class QualityBoost(io.ComfyNode):
    MENU_POSITION = 60

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackQualityBoost",
            display_name="Quality Boost Sampler",
            category=CATEGORY,
            description="DDIM for the way back that adds fresh noise near the end, which cleans up a "
            "strong edit.",
            inputs=[
                io.Float.Input(
                    "boost_below",
                    default=0.2,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="From this fraction of the way on, every step adds fresh noise. 0 never does.",
                ),
                io.Float.Input(
                    "eta",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Fresh noise before that. 0 adds none, 1 is an ancestral sampler.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip="The LATENT that goes into the sampler. Keeps what its mask leaves out "
                    "exactly as it was.",
                ),
            ],
            outputs=[io.Sampler.Output(display_name="SAMPLER")],
        )

    @classmethod
    def execute(cls, boost_below, eta, latent=None):
        parts = [] if latent is None else require_kept_parts(latent)
        return io.NodeOutput(host.quality_boost_sampler(boost_below, eta, parts))
