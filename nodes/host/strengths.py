"""Strengths in units of what is seen, for the pictures of a noisy LATENT."""

from ...pullback_core import ddim
from ...pullback_core.directions.linear_range import linear_range
from ...pullback_core.directions.preview import preview_by
from ...pullback_core.directions.seen import short_way
from ...pullback_core.directions.strength import LEVELS, calibrated_lengths
from .edits import part_of
from .masks import keep_parts, kept_parts, mask_of


def calibrate(denoiser, noisy, directions, strengths, latent, *, progress, mask=None, quick=False):
    """Find how far each picture of a LATENT must be moved along each direction, for each strength.

    Args:
        denoiser: The model.
        noisy: The LATENT as a `NoisyLatent`.
        directions: A basis with the directions.
        strengths: Numbers in units of what is seen.
        latent: The LATENT. Without a mask, its own mask counts.
        progress: Called as progress(rounds done, rounds in all).
        mask: MASK; 1 where the edit may act.
        quick: Measure the predicted picture in the place of a short generation.

    Returns:
        The core's `Calibrated` for each picture.
    """
    masks = mask_of(mask, latent, noisy.x)
    found = []
    for number in range(len(noisy)):
        found.append(
            calibrated_lengths(
                denoiser,
                noisy[number],
                directions,
                strengths,
                mask=None if masks is None else masks[number],
                levels=1 if quick else LEVELS,
                batch_size=denoiser.evaluation_batch_size(noisy.x.shape[1:]),
                progress=part_of(progress, number, len(noisy)),
            )
        )
    return found


def preview_pictures(denoiser, noisy, directions, strengths, latent):
    """What edits of a LATENT's only picture will look like. The model makes the unedited picture alone.

    Args:
        denoiser: The model.
        noisy: The LATENT as a `NoisyLatent`.
        directions: A basis that knows what its directions do to the picture.
        strengths: Numbers in units of what is seen.
        latent: The LATENT.

    Returns:
        (b, c, h, w) in sampler coordinates: the LATENT's own picture where its mask is 0.
    """
    clean = ddim.generate(denoiser, short_way(denoiser.schedule, noisy, LEVELS))
    shown = preview_by(clean, directions, strengths, mask=mask_of(None, latent, noisy.x))
    return keep_parts(shown, kept_parts(latent))


def straight_ranges(denoiser, noisy, directions, *, progress, quick=False):
    """The linear range of each direction at one noisy latent, as in the core's `linear_range`.

    quick: tell strengths by the predicted picture.
    """
    return linear_range(
        denoiser,
        noisy,
        directions,
        levels=1 if quick else LEVELS,
        batch_size=denoiser.evaluation_batch_size(noisy.x.shape[1:]),
        progress=progress,
    )
