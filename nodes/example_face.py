from comfy_api.latest import io

from . import host
from .inputs import CATEGORY


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
                )
            ],
            outputs=[io.Image.Output(display_name="IMAGE")],
        )

    @classmethod
    def execute(cls, number):
        return io.NodeOutput(host.example_face(number))
