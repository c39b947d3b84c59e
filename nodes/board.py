from comfy_api.latest import io

from . import host
from .checks import require_noise, require_own_basis, require_single_noisy_latent
from .inputs import CATEGORY, Basis, conditioning_input, model_input, noisy_latent_input, sigmas_input
from .ui import SENT_AGAIN


class Board(io.ComfyNode):
    MENU_POSITION = 55

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackBoard",
            display_name="Direction Board",
            category=CATEGORY,
            description="Shows the picture with a slider for each direction. It answers at once, and makes "
            "the true edit when a slider is let go.",
            inputs=[
                Basis.Input(
                    "basis",
                    tooltip="From Pullback Basis at this latent, with the feature picture, rotate, and keep "
                    "on.",
                ),
                model_input(),
                conditioning_input(),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
                noisy_latent_input(),
                sigmas_input(),
                io.String.Input(
                    "words",
                    default="",
                    multiline=True,
                    tooltip="Words or phrases, with commas or on lines, such as smiling, old. Each gets a "
                    "slider.",
                ),
                io.String.Input(
                    "state",
                    default="",
                    tooltip="The setting of the sliders, which the board writes itself. Empty sets nothing.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="Of the model, for words. The bundled faces model needs none.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The region that the board begins with, if none is painted.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="IMAGE", tooltip="The edited picture, finished."),
                io.Latent.Output(
                    display_name="LATENT", tooltip="The same picture as a clean latent, for the next step."
                ),
                Basis.Output(
                    display_name="PULLBACK_BASIS",
                    tooltip="The setting as one direction, to save it or to apply it to other pictures.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
            **SENT_AGAIN,
        )

    @classmethod
    def execute(
        cls, basis, model, conditioning, vae, latent, sigmas, words="", state="", clip=None, mask=None
    ):
        require_single_noisy_latent(model, latent, sigmas)

        def check(denoiser, noisy):
            require_own_basis(denoiser, basis, latent, noisy)
            require_noise(denoiser, latent, noisy)

        inputs = host.BoardInputs(model, conditioning, vae, latent, sigmas)
        node = None if cls.hidden is None else cls.hidden.unique_id
        made = host.run_board(node, inputs, basis, words, state, check, clip, mask)
        outputs = made.image, made.latent, made.direction
        return io.NodeOutput(*outputs, ui={"pullback_board": [made.payload]})
