"""What words change in a picture of the bundled model."""

import torch

from .. import faces
from ..directions.words import listening_points, predicted_mean
from ..faces.vocabulary import PHRASES, SLOT_OF
from ..noisy import NoisyLatent
from .session import Session


def with_word(prompt: str, word: str) -> str:
    """A prompt that also says a word. What the prompt says about the same thing gives way.

    Args:
        prompt: Comma-separated phrases.
        word: One or more phrases. Example: "frowning, glasses" and "smiling" make "glasses, smiling".

    Returns:
        The prompt.
    """
    said = [phrase.strip().lower() for phrase in word.split(",") if phrase.strip()]
    slots = {SLOT_OF[phrase] for phrase in said}
    kept = [phrase.strip().lower() for phrase in prompt.split(",") if phrase.strip()]
    return ", ".join([phrase for phrase in kept if SLOT_OF[phrase] not in slots] + said)


def word_shifts(
    session: Session, image: torch.Tensor, noisy: NoisyLatent, words: list[str], seed: int
) -> dict[str, torch.Tensor]:
    """What each of several words changes in the predicted picture, see `directions.words`.

    Args:
        session: The run.
        image: (3, h, w), the picture.
        noisy: Its noisy latent.
        words: Phrases that the model knows.
        seed: The seed of the noises under which the model listens.

    Returns:
        word -> (c, h, w) in sampler coordinates. Words that change nothing are left out.
    """
    points = listening_points(faces.encode_image(image[None]), session.denoiser.schedule, noisy, seed=seed)
    shifts = {}
    with session.phase("words", len(words) + 1) as bar:
        plain = predicted_mean(session.denoiser, points)
        bar.advance()
        for word in words:
            shift = predicted_mean(session.with_prompt(with_word(session.prompt, word)), points) - plain
            if shift.any():
                shifts[word] = shift
            bar.advance()
    return shifts


def vocabulary() -> list[str]:
    """The words after which directions are named: all that the model knows."""
    return [phrase for phrases in PHRASES.values() for phrase in phrases]
