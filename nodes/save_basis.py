from comfy_api.latest import io

from . import host
from .inputs import CATEGORY, Basis
from .ui import SENT_AGAIN, shown_text


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
                io.String.Input(
                    "names",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="A name for each direction, one a line, from the first one on. Empty keeps the "
                    "names of the basis.",
                ),
                io.String.Input(
                    "notes",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="A text for people. Empty keeps the notes of the basis.",
                ),
                io.Image.Input(
                    "thumbnail",
                    optional=True,
                    tooltip="A small picture for the file, for example the sheet of the Basis Visualizer. It "
                    "is made at most 256 pixels wide and high.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, basis, filename_prefix, names="", notes="", thumbnail=None):
        described = host.described_basis(basis, names, notes, thumbnail)
        path = host.save_basis(described, filename_prefix)
        return io.NodeOutput(ui=shown_text(cls, f"saved {path.name}"))
