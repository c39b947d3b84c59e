from comfy_api.latest import io

from ..pullback_core.directions.mixing import mix
from .checks import require_directions
from .inputs import CATEGORY, Basis
from .ui import SENT_AGAIN, shown_text

MOST = 4  # bases that can be mixed


class MixDirections(io.ComfyNode):
    MENU_POSITION = 66

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackMixDirections",
            display_name="Mix Directions",
            category=CATEGORY,
            description="Makes one direction out of several, and takes out of it what others do.",
            inputs=[
                *[part for number in range(1, MOST + 1) for part in _part_inputs(number)],
                Basis.Input(
                    "orthogonal_to",
                    optional=True,
                    tooltip="What its directions do to the picture is taken out of the mixture.",
                ),
                io.String.Input(
                    "name",
                    default="",
                    optional=True,
                    tooltip="What the direction is called. Empty makes a name of the weights.",
                ),
            ],
            outputs=[
                Basis.Output(
                    display_name="PULLBACK_BASIS", tooltip="A basis with one direction: the mixture."
                ),
                io.String.Output(display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, orthogonal_to=None, name="", **inputs):
        parts = []
        for number in range(1, MOST + 1):
            basis = inputs.get(f"basis_{number}")
            if basis is not None:
                chosen = require_directions(basis, inputs.get(f"direction_{number}", 1))
                parts.append((chosen, inputs.get(f"weight_{number}", 1.0)))
        if not parts:
            raise ValueError("Nothing is connected to mix; connect a Pullback Basis to basis_1.")
        mixture = mix(parts, orthogonal_to=orthogonal_to, name=name.strip())
        report = f"{mixture.name(0)}: response {mixture.s[0]:.3g}"
        return io.NodeOutput(mixture, report, ui=shown_text(cls, report))


def _part_inputs(number):
    """The inputs of one basis. All of them are optional."""
    return [
        Basis.Input(
            f"basis_{number}",
            optional=True,
            tooltip="A basis of the noisy latent that is to be edited. The same one may be connected twice.",
        ),
        io.Int.Input(
            f"direction_{number}",
            default=1,
            min=1,
            max=64,
            optional=True,
            tooltip="Which direction of this basis, counted from 1.",
        ),
        io.Float.Input(
            f"weight_{number}",
            default=1.0,
            min=-10.0,
            max=10.0,
            step=0.05,
            optional=True,
            tooltip="How much of it. Negative takes it the other way.",
        ),
    ]
