from comfy_api.latest import io

from ..pullback_core import global_basis
from .inputs import CATEGORY, Basis
from .ui import SENT_AGAIN, shown_text

FRECHET, MATCHED = "frechet", "matched"


class GlobalBasis(io.ComfyNode):
    MENU_POSITION = 140

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackGlobalBasis",
            display_name="Global Basis",
            category=CATEGORY,
            description="What the bases of several pictures have in common, as one basis for all of them.",
            inputs=[
                Basis.Input(
                    "bases",
                    tooltip="A list of bases at one timestep, from a Pullback Basis that ran on a list "
                    "of pictures.",
                ),
                io.Combo.Input(
                    "method",
                    options=[FRECHET, MATCHED],
                    default=MATCHED,
                    tooltip="matched: averages directions that are alike. frechet: the mean of the "
                    "tangent spaces; "
                    "only for a timestep near 1.",
                ),
            ],
            outputs=[
                Basis.Output(
                    display_name="PULLBACK_BASIS",
                    tooltip="The mean. Use it as it is, or carry it over with Parallel Transport.",
                ),
                io.String.Output(
                    display_name="report", tooltip="How well its directions fit the pictures: 0 is perfect."
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_input_list=True,
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, bases, method):
        mean = global_basis(bases, method[0])  # in a node that takes lists, widgets come as lists too
        first = ", ".join(f"{misfit:.2f}" for misfit in mean.residuals[:3])
        report = f"{method[0]} of {len(bases)} bases; misfit of the first directions: {first}"
        return io.NodeOutput(mean, report, ui=shown_text(cls, report))
