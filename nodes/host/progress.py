"""Progress bars, previews, a line of text under a node, and cancelling."""

import math

import comfy.model_management
import comfy.utils
import latent_preview
from server import PromptServer


class Progress:
    """A node's progress bar. Raises the host's own exception when the user cancels.

    model: for previews of latents, in the manner that the user chose for samplers.
    """

    def __init__(self, total, model=None):
        self._bar = comfy.utils.ProgressBar(total)
        self._total, self._done = total, 0
        self._previewer = model and latent_preview.get_previewer(
            model.load_device, model.get_model_object("latent_format")
        )

    def step(self, x0=None):
        """One unit more. x0: (b, c, h, w), what to show, if anything."""
        self.update(self._done + 1, x0=x0)

    def update(self, done, total=None, x0=None):
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._done = done
        preview = None
        if x0 is not None and self._previewer:
            preview = self._previewer.decode_latent_to_preview_image("JPEG", x0[:1])
        self._bar.update_absolute(done, total or self._total, preview)

    def update_residual(self, residual, tolerance, index=0, count=1):
        """How near an error is to its tolerance, by orders of magnitude, in search number `index`, from 0, of `count`."""
        share = math.log(min(max(residual, tolerance), 1.0)) / math.log(min(tolerance, 0.99))
        self.update(max(self._done, round((index + share) / count * self._total)))


def show_status(node, text):
    """Show a line of text under the running node. node: its class, with the hidden input unique_id."""
    if node.hidden is not None and node.hidden.unique_id is not None:  # a server is running it, not a script
        PromptServer.instance.send_progress_text(text, node.hidden.unique_id)
