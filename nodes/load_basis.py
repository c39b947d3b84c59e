from comfy_api.latest import io, ui

from ..pullback_core import PullbackBasis
from . import host
from .inputs import CATEGORY, Basis
from .ui import SENT_AGAIN


class LoadBasis(io.ComfyNode):
    MENU_POSITION = 80

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackLoadBasis",
            display_name="Load Pullback Basis",
            category=CATEGORY,
            description="Reads a basis from ComfyUI's input or output folder. Press R after copying a "
            "file there.",
            inputs=[
                io.Combo.Input(
                    "file", options=host.basis_files(), tooltip="A .safetensors file of Save Pullback Basis."
                )
            ],
            outputs=[
                Basis.Output(display_name="PULLBACK_BASIS"),
                io.String.Output(display_name="names", tooltip="The names of its directions, one a line."),
                io.String.Output(display_name="notes", tooltip="What the one who saved it wrote."),
            ],
            **SENT_AGAIN,
        )

    @classmethod
    def fingerprint_inputs(cls, file):
        return host.basis_path(file).stat().st_mtime_ns

    @classmethod
    def execute(cls, file):
        basis = PullbackBasis.load(host.basis_path(file))
        preview = None
        if basis.thumbnail is not None:
            preview = ui.PreviewImage(host.thumbnail_to_image(basis.thumbnail), cls=cls)
        return io.NodeOutput(basis, "\n".join(basis.names), basis.notes, ui=preview)
