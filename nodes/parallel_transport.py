from comfy_api.latest import io

from ..pullback_core import transported_basis
from ..pullback_core.transport import MEANINGLESS_ALIGNMENT
from . import host
from .checks import require_directions
from .inputs import CATEGORY, Basis, direction_input


class ParallelTransport(io.ComfyNode):
    MENU_POSITION = 40

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackParallelTransport",
            display_name="Parallel Transport",
            category=CATEGORY,
            description="Carries a direction of one picture to another picture.",
            inputs=[
                Basis.Input("source", tooltip="The basis of the picture that has the direction."),
                Basis.Input(
                    "target",
                    tooltip="The basis of the picture that shall change the same way, at the same timestep.",
                ),
                direction_input(),
                io.Boolean.Input(
                    "exact",
                    default=False,
                    tooltip="Off: as the paper's released code. On: the exact pullback, in which weak "
                    "directions count more.",
                ),
            ],
            outputs=[
                Basis.Output(
                    display_name="PULLBACK_BASIS",
                    tooltip="A basis of the target with one direction: the one carried over.",
                ),
                io.Float.Output(
                    display_name="alignment",
                    tooltip="From 0 (the target has no such direction) to 1 (it has all of it).",
                ),
                io.String.Output(display_name="report"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, source, target, direction, exact):
        require_directions(source, direction)
        carried, alignment = transported_basis(direction - 1, source, target, exact=exact)
        report = f"alignment {alignment:.2f}"
        if alignment < MEANINGLESS_ALIGNMENT:
            report += ": too low to mean much; try a timestep nearer 1, a higher rank or another direction"
        host.show_status(cls, report)
        return io.NodeOutput(carried, alignment, report)
