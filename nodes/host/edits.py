"""Edits of the pictures of a noisy LATENT, and what the model makes of them."""

import torch

from ...pullback_core import ddim, edit_grid
from ...pullback_core.directions.moves import move
from ...pullback_core.directions.seen import short_way
from .masks import MaskedDenoiser, keep_parts, kept_parts, mask_of, masks_of, with_kept_parts


def even_strengths(strength, count):
    """Strengths at even distances from -strength to +strength. A single one is the strength itself."""
    return [strength] if count == 1 else torch.linspace(-strength, strength, count).tolist()


def edit_pictures(
    denoiser, noisy, directions, strengths, latent, *, progress, mask=None, calibrated=None, **options
):
    """Edit each picture of a LATENT along each direction, at each strength.

    Args:
        denoiser: The model.
        noisy: The LATENT as a `NoisyLatent`.
        directions: A basis with the directions.
        strengths: Numbers, as in the core's `edit`.
        latent: The LATENT. Without a mask, its own mask counts.
        progress: Called as progress(evaluations done, evaluations in all).
        mask: MASK; 1 where the edit may act.
        calibrated: What `calibrate` found for these strengths: the edits are then straight moves. None edits
            by x-space guidance.
        **options: As in the core's `edit_grid`, for guidance.

    Returns:
        A list with a `NoisyLatent` for each picture: all strengths of the first direction, then those of the
        next.
    """
    batch_size = denoiser.evaluation_batch_size(noisy.x.shape[1:])
    masks = mask_of(mask, latent, noisy.x)
    edits = []
    for number in range(len(noisy)):
        own_mask = None if masks is None else masks[number]
        report = part_of(progress, number, len(noisy))
        if calibrated is not None:
            lengths = calibrated[number].lengths
            vectors = directions.v.repeat_interleave(lengths.shape[1], dim=0)
            edits.append(move(denoiser, noisy[number], vectors, lengths.flatten(), mask=own_mask))
            report(1, 1)
            continue
        edits.append(
            edit_grid(
                denoiser,
                noisy[number],
                directions,
                strengths,
                mask=own_mask,
                batch_size=batch_size,
                progress=report,
                **options,
            )
        )
    return edits


def edit_and_keep(
    denoiser, noisy, directions, strengths, latent, *, progress, mask=None, steps=16, calibrated=None
):
    """Edit the pictures of a LATENT, so that any sampler makes the edited pictures of the result.

    Where the LATENT's own mask counts, each edit is also sampled and inverted again, see `with_kept_parts`.

    Args:
        denoiser: The model.
        noisy: The LATENT as a `NoisyLatent`.
        directions: A basis with the directions.
        strengths: Numbers, as in the core's `edit`.
        latent: The LATENT.
        progress: Called as progress(done, total).
        mask: MASK; 1 where the edit may act.
        steps: As in the core's `edit`.
        calibrated: As in `edit_pictures`.

    Returns:
        The edits of all pictures as one `NoisyLatent`, those of the first picture first.
    """
    keeps = mask is None and any(kept_parts(latent))
    edits = edit_pictures(
        denoiser,
        noisy,
        directions,
        strengths,
        latent,
        progress=part_of(progress, 0, 2) if keeps else progress,
        mask=mask,
        steps=steps,
        calibrated=calibrated,
    )
    if keeps:
        batch_size = denoiser.evaluation_batch_size(noisy.x.shape[1:])
        edits = with_kept_parts(denoiser, edits, latent, batch_size, part_of(progress, 1, 2))
    return noisy.with_x(torch.cat([edit.x for edit in edits]))


def finish_edits(denoiser, edits, latent, *, progress, forecast=False, levels=None):
    """The clean pictures that edits become. They are the LATENT's own picture where its mask is 0.

    Args:
        denoiser: The model.
        edits: A `NoisyLatent` with edits of the LATENT's only picture.
        latent: The LATENT.
        progress: Called as progress(batches done, batches in all).
        forecast: Take the model's prediction at the noise level of the edits, without sampling.
        levels: Sample with at most so many steps, evenly spaced in time; None takes the way back as it is.

    Returns:
        (b, c, h, w) in sampler coordinates.
    """
    batches = edits.x.split(denoiser.evaluation_batch_size(edits.x.shape[1:]) or len(edits))
    if levels is not None and len(edits.sigmas) - 1 > levels:
        edits = short_way(denoiser.schedule, edits, levels)
    denoiser = MaskedDenoiser(denoiser, kept_parts(latent))
    finished = []
    for number, x in enumerate(batches):
        if forecast:
            finished.append(denoiser.denoise(x, edits.sigma))
        else:
            finished.append(ddim.generate(denoiser, edits.with_x(x)))
        progress(number + 1, len(batches))
    return torch.cat(finished)


def applied_pictures(x0, applied, latent):
    """The pictures of a clean LATENT after a direction was applied, and unchanged where its mask is 0.

    Args:
        x0: The pictures, (b, c, h, w) in sampler coordinates.
        applied: The core's `Applied` of each picture. A picture that was left alone stays as it is.
        latent: The LATENT.

    Returns:
        (b, c, h, w) in sampler coordinates.
    """
    edited = [own if one.picture is None else one.picture for own, one in zip(x0, applied)]
    parts = [mask if mask is None else (own, mask) for own, mask in zip(x0.cpu(), masks_of(latent, x0))]
    return keep_parts(torch.stack(edited), parts)


def part_of(progress, number, count):
    """progress(done, total) of part `number` of `count`, as progress of the whole."""

    def report(done, total):
        progress(number * total + done, count * total)

    return report
