from comfy_api.latest import io

from . import host
from .inputs import CATEGORY


class FacesPrompt(io.ComfyNode):
    MENU_POSITION = 100

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackFacesPrompt",
            display_name="Faces Prompt",
            category=CATEGORY,
            description="Words for the bundled faces model.",
            inputs=[
                io.String.Input(
                    "text",
                    default="",
                    multiline=True,
                    tooltip='Words with commas between them, such as "smiling, glasses, long hair". '
                    "Empty means any face.",
                )
            ],
            outputs=[io.Conditioning.Output(display_name="CONDITIONING")],
        )

    @classmethod
    def execute(cls, text):
        return io.NodeOutput(host.encode_words(text))
