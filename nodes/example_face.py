from comfy_api.latest import io

from . import host
from .inputs import CATEGORY, count_input


class ExampleFace(io.ComfyNode):
    MENU_POSITION = 110

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackExampleFace",
            display_name="Example Face",
            category=CATEGORY,
            description="A drawn face, 48x48 pixels, that the bundled model has never seen.",
            inputs=[
                io.Int.Input(
                    "number",
                    default=6,
                    min=0,
                    max=100_000,
                    tooltip="Which face. Every number is another one.",
                ),
                count_input(
                    "count", "How many faces, from this number on, as one batch.", largest=16, optional=True
                ),
            ],
            outputs=[io.Image.Output(display_name="IMAGE")],
        )

    @classmethod
    def execute(cls, number, count=1):
        return io.NodeOutput(host.example_faces(number, count))
