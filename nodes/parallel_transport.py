from comfy_api.latest import io

from ..pullback_core import transported_basis
from ..pullback_core.directions.alignment import describe_alignment
from ..pullback_core.transport import EXACT, FITTED, MEANINGLESS_ALIGNMENT, RELEASED
from .checks import require_directions
from .inputs import CATEGORY, Basis, direction_input
from .ui import SENT_AGAIN, shown_text

PROJECTED = "projected"  # the option of `method` that `exact` refines


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
                io.Combo.Input(
                    "method",
                    options=[PROJECTED, FITTED],
                    default=PROJECTED,
                    optional=True,
                    tooltip="projected: the paper's, see exact. fitted: the nearest move that changes the "
                    "target in the same way; best for bases of the feature picture, with keep on.",
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
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, source, target, direction, exact, method=PROJECTED):
        require_directions(source, direction)
        if method == PROJECTED:
            method = EXACT if exact else RELEASED
        carried, alignment = transported_basis(direction - 1, source, target, method=method)
        report = f"alignment {alignment:.2f}"
        if method == FITTED:
            report += f": the direction {describe_alignment(alignment, target.provenance.get('feature'))}"
        elif alignment < MEANINGLESS_ALIGNMENT:
            report += ": too low to mean much; try a timestep nearer 1, a higher rank or another direction"
        return io.NodeOutput(carried, alignment, report, ui=shown_text(cls, report))
