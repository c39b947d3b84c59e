from comfy_api.latest import io

from ..pullback_core.directions.naming import named_basis
from . import host
from .checks import require_single_noisy_latent
from .inputs import CATEGORY, Basis, conditioning_input, model_input, noisy_latent_input, sigmas_input
from .ui import SENT_AGAIN, shown_text

WORDS = (
    "smiling, frowning, open mouth, closed mouth, old, young, pale skin, dark skin, bald, short hair, "
    "long hair, black hair, brown hair, blond hair, red hair, grey hair, small eyes, big eyes, glasses, "
    "beard, hat, narrow face, wide face, looking left, looking right, red background, yellow background, "
    "green background, blue background, white background"
)


class NameDirections(io.ComfyNode):
    MENU_POSITION = 64

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="PullbackNameDirections",
            display_name="Name Directions",
            category=CATEGORY,
            description="Names the directions of a basis after words that change the picture as they do.",
            inputs=[
                model_input(),
                conditioning_input(),
                noisy_latent_input(),
                sigmas_input(),
                Basis.Input(
                    "basis",
                    tooltip="From Pullback Basis at this latent, best with the feature picture and rotate.",
                ),
                io.String.Input(
                    "words",
                    default=WORDS,
                    multiline=True,
                    tooltip="The names to choose from, with commas or on lines. The more different things "
                    "they name, the better.",
                ),
                io.String.Input(
                    "prompt",
                    default="",
                    tooltip="The text of the picture. Each word is added at its end. Empty takes the words "
                    "alone.",
                ),
                io.Clip.Input(
                    "clip", optional=True, tooltip="Of the model. The bundled faces model needs none."
                ),
            ],
            outputs=[
                Basis.Output(display_name="PULLBACK_BASIS", tooltip="The same directions, with names."),
                io.String.Output(display_name="report", tooltip="The number and the name of each direction."),
            ],
            hidden=[io.Hidden.unique_id],
            **SENT_AGAIN,
        )

    @classmethod
    def execute(cls, model, conditioning, latent, sigmas, basis, words, prompt="", clip=None):
        require_single_noisy_latent(model, latent, sigmas)
        basis.picture_changes()  # refuses a basis without names to find, before the model runs
        names = host.split_words(words)
        texts = [f"{prompt.strip()}, {name}" if prompt.strip() else name for name in names]
        conditionings = [conditioning, *host.encode_texts(model, clip, texts)]
        bar = host.Progress(len(conditionings))
        plain, *others = host.predictions(model, conditionings, latent, sigmas, progress=bar.update)
        shifts = {name: picture - plain for name, picture in zip(names, others)}
        named = named_basis(basis, shifts)
        lines = [f"{number}: {name}" for number, name in enumerate(named.names, start=1) if name]
        report = "\n".join(lines) or "no word says what a direction changes; give other words"
        return io.NodeOutput(named, report, ui=shown_text(cls, report))
