"""What a model predicts under the words of a CONDITIONING."""

import re

from ...pullback_core.directions.responses import responses
from ...pullback_core.directions.shifts import strongest_part
from ...pullback_core.directions.words import listening_points, predicted_mean, word_direction
from .check import check_derivatives
from .faces import encode_words
from .fingerprints import FINGERPRINT
from .origins import origins_of
from .session import while_sampling

SEPARATORS = re.compile("[,\n\uff0c\u3001]")  # the comma in Latin and in Chinese script, and lines


def listening_place(denoiser, noisy, latent):
    """Where a model listens to words: a noisy LATENT, and its clean picture under more noise.

    Args:
        denoiser: The denoiser that is at work.
        noisy: The one picture of the LATENT as a `NoisyLatent`.
        latent: The LATENT.

    Returns:
        The result of `listening_points`. It is `noisy` itself where the clean picture is unknown.
    """
    [origin] = origins_of(latent)
    if origin is None or origin.clean is None:
        return noisy
    return listening_points(origin.clean.to(noisy.x), denoiser.schedule, noisy)


def predictions(model, conditionings, latent, sigmas, progress=None):
    """What a model predicts of one picture under several CONDITIONINGs, as means over noises.

    Args:
        model: MODEL.
        conditionings: A list of CONDITIONING.
        latent: LATENT of one noisy picture.
        sigmas: The way back from it.
        progress: Called as progress(how many are done) after each.

    Returns:
        A list of (c, h, w) on the CPU, in sampler coordinates.
    """

    def work(denoiser, noisy):
        return predicted_mean(denoiser, listening_place(denoiser, noisy, latent)).float().cpu()

    found = []
    for conditioning in conditionings:
        found.append(while_sampling(model, conditioning, latent, work, sigmas=sigmas))
        if progress:
            progress(len(found))
    return found


def encode_texts(model, clip, texts):
    """The CONDITIONING of each text.

    Args:
        model: MODEL.
        clip: CLIP, or None for the bundled model, whose words need none.
        texts: A list of texts.

    Returns:
        A list of CONDITIONING.

    Raises:
        ValueError: There is no CLIP, and the model is another one; or the bundled model does not know a word.
    """
    if clip is not None:
        return [clip.encode_from_tokens_scheduled(clip.tokenize(text)) for text in texts]
    if model.get_attachment(FINGERPRINT) is None:
        raise ValueError("Words of this model need its text encoder; connect the CLIP of its loader.")
    return [encode_words(text) for text in texts]


def split_words(text):
    """The words or phrases of a text, which stand between commas or on lines. Each of them comes once."""
    parts = [part.strip() for part in SEPARATORS.split(text)]
    return list(dict.fromkeys(part for part in parts if part))


def direction_of_shift(denoiser, noisy, basis, shift, keep=(), name=""):
    """The direction of a word. It takes a product of the model.

    Args:
        denoiser: The denoiser that is at work, with the feature "picture".
        noisy: The one picture of a noisy LATENT as a `NoisyLatent`.
        basis: A basis of this picture.
        shift: What the word changes: the difference of two `predictions`.
        keep: The shifts of words that shall not change.
        name: The name of the direction.

    Returns:
        The core's `WordDirection`, on the CPU.

    Raises:
        ValueError: As in the core's `word_direction`.
    """
    vector = strongest_part(shift)[None].to(noisy.x)
    own = responses(check_derivatives(denoiser, noisy), noisy, vector).to("cpu")
    return word_direction(basis, shift, keep, own=own, name=name)
