from comfy_api.latest import io

from . import host
from .inputs import CATEGORY, Basis


class SaveBasis(io.ComfyNode):
    MENU_POSITION = 70

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackSaveBasis",
            display_name="Save Pullback Basis",
            category=CATEGORY,
            description="Writes a basis to ComfyUI's output folder as safetensors, to load or share it.",
            inputs=[
                Basis.Input("basis", tooltip="The basis to save."),
                io.String.Input(
                    "filename_prefix",
                    default="pullback/basis",
                    tooltip="A name, also with a folder. Files are numbered. %date:yyyy-MM-dd% and "
                    "%year% are filled in as in Save Image.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, basis, filename_prefix):
        path = host.save_basis(basis, filename_prefix)
        host.show_status(cls, f"saved {path.name}")
        return io.NodeOutput()
