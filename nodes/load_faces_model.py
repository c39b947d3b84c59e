from comfy_api.latest import io

from . import host
from .inputs import CATEGORY


class LoadFacesModel(io.ComfyNode):
    MENU_POSITION = 90

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackLoadFacesModel",
            display_name="Load Faces Model",
            category=CATEGORY,
            description="The small model of drawn faces, 48x48 pixels, that comes with the pack. Nothing "
            "to download.",
            outputs=[
                io.Model.Output(display_name="MODEL"),
                io.Vae.Output(display_name="VAE"),
                io.Conditioning.Output(
                    display_name="CONDITIONING", tooltip="No words: any face. For words, Faces Prompt."
                ),
            ],
        )

    @classmethod
    def execute(cls):
        return io.NodeOutput(*host.load_faces(), host.encode_words(""))
