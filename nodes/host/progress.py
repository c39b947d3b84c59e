"""Progress bars, previews, a line of text under a node, and cancelling."""

import math

import comfy.model_management
import comfy.utils
import latent_preview
from server import PromptServer


class Progress:
    """The progress bar of a node.

    Every update raises the host's own exception when the user cancels.

    Args:
        total: The units of work.
        model: MODEL, for latent previews as the user chose them for samplers; None for no previews.
    """

    def __init__(self, total, model=None):
        self._bar = comfy.utils.ProgressBar(total)
        self._total, self._done = total, 0
        self._previewer = None
        if model is not None:
            latent_format = model.get_model_object("latent_format")
            self._previewer = latent_preview.get_previewer(model.load_device, latent_format)

    def step(self, x0=None):
        """One more unit is done. x0: (b, c, h, w), predicted pictures for the preview."""
        self.update(self._done + 1, x0=x0)

    def step_noisy(self, noisy, schedule):
        """One more unit is done, and the preview shows a `NoisyLatent` as it is, noise and all."""
        self.step(noisy.x / schedule.scale(noisy.sigma))

    def part(self, start, end):
        """A function of (done, total) that moves the bar from `start` to `end` units."""

        def update(done, total):
            self.update(start + (end - start) * done // total)

        return update

    def update(self, done, total=None, x0=None):
        """So many units are done, of so many in all. x0: (b, c, h, w), predicted pictures for the preview."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        self._done = done
        preview = None
        if x0 is not None and self._previewer:
            preview = self._previewer.decode_latent_to_preview_image("JPEG", x0[:1])
        self._bar.update_absolute(done, total or self._total, preview)

    def update_residual(self, residual, tolerance, index=0, count=1):
        """Show how far a search is, by the orders of magnitude that its residual has fallen.

        Args:
            residual: The largest residual so far.
            tolerance: Where the search ends.
            index: The number of this search, from 0.
            count: How many searches share the bar.
        """
        share = math.log(min(max(residual, tolerance), 1.0)) / math.log(min(tolerance, 0.99))
        self.update(max(self._done, round((index + share) / count * self._total)))


def show_status(node, text):
    """Show a line of text under the running node. node: its class, with the hidden input unique_id."""
    # Where a script runs the node, there is no server and no id.
    if node.hidden is not None and node.hidden.unique_id is not None:
        PromptServer.instance.send_progress_text(text, node.hidden.unique_id)
