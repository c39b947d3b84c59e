from comfy_api.latest import io

from ..pullback_core.directions.shifts import where_it_shows
from ..pullback_core.models.denoiser import PICTURE
from . import host
from .checks import require_noise, require_own_basis, require_single_noisy_latent
from .inputs import CATEGORY, Basis, conditioning_input, model_input, noisy_latent_input, sigmas_input
from .ui import SENT_AGAIN, shown_text

MOST_KEPT = 3  # inputs for words to keep
LITTLE = 0.3  # the report says that the basis knows little of a word below this share


class WordDirection(io.ComfyNode):
    MENU_POSITION = 63

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackWordDirection",
            display_name="Word Direction",
            category=CATEGORY,
            description="Makes a direction of a word, and keeps other words out of it.",
            inputs=[
                model_input(),
                conditioning_input(),
                noisy_latent_input(),
                sigmas_input(),
                Basis.Input(
                    "basis",
                    tooltip="From Pullback Basis at this latent, with the feature picture. With keep on, it "
                    "knows more.",
                ),
                io.Conditioning.Input(
                    "toward",
                    tooltip="Where the direction leads: the text of the picture with the word, such as "
                    "smiling.",
                ),
                io.String.Input("name", default="", tooltip="What the direction is called, such as smiling."),
                io.Conditioning.Input(
                    "away",
                    optional=True,
                    tooltip="Where it comes from, such as frowning. Without it, the text of the picture.",
                ),
                *[_keep_input(number) for number in range(1, MOST_KEPT + 1)],
            ],
            outputs=[
                Basis.Output(display_name="PULLBACK_BASIS", tooltip="One direction: that of the word."),
                io.Float.Output(
                    display_name="explained",
                    tooltip="The share of what the word changes that the basis knows how to make.",
                ),
                io.String.Output(display_name="report"),
                io.Mask.Output(
                    display_name="MASK",
                    tooltip="Where the word shows. Connect it to an edit, and the rest stays as it is.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(
        cls,
        model,
        conditioning,
        latent,
        sigmas,
        basis,
        toward,
        name="",
        away=None,
        keep_1=None,
        keep_2=None,
        keep_3=None,
    ):
        require_single_noisy_latent(model, latent, sigmas)
        kept = [text for text in (keep_1, keep_2, keep_3) if text is not None]
        texts = [conditioning, toward, *([] if away is None else [away]), *kept]
        bar = host.Progress(len(texts) + 1)
        plain, target, *others = host.predictions(model, texts, latent, sigmas, progress=bar.update)
        start = plain if away is None else others.pop(0)
        shift, keep = target - start, [other - plain for other in others]

        def work(denoiser, noisy):
            require_noise(denoiser, latent, noisy)
            require_own_basis(denoiser, basis, latent, noisy)
            return host.direction_of_shift(denoiser, noisy, basis, shift, keep, name.strip())

        found = host.while_sampling(
            model, conditioning, latent, work, sigmas=sigmas, feature=PICTURE, products=True
        )
        report = f"the basis explains {found.explained:.0%} of the word"
        if found.explained < LITTLE:
            report += "; what other words change is hard to keep out: raise its rank and turn on keep"
        shown = shown_text(cls, report)
        picture = where_it_shows(shift)[None]
        return io.NodeOutput(found.basis, found.explained, report, picture, ui=shown)


def _keep_input(number):
    """One of the inputs for words to keep."""
    return io.Conditioning.Input(
        f"keep_{number}", optional=True, tooltip="A text with a word that shall not change, such as glasses."
    )
