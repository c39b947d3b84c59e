"""x-space guidance: the edit of Park et al. 2023, section 3.3."""

import itertools
from collections.abc import Callable, Sequence

import torch

from .basis import PullbackBasis
from .models.denoiser import Denoiser
from .noisy import NoisyLatent


@torch.no_grad()
def edit(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    direction: torch.Tensor | PullbackBasis,
    *,
    strength: float | torch.Tensor = 1.0,
    steps: int = 16,
    probe: float = 1.0,
    mask: torch.Tensor | None = None,
    progress: Callable[[NoisyLatent], object] | None = None,
) -> NoisyLatent:
    """Move noisy latents along a direction, and keep them where the model puts its data.

    Repeats z <- z + strength * [eps(z + probe * v) - eps(z)] in network coordinates, at one timestep, with
    one fixed v. A straight step z + lambda * v leaves the neighbourhood of the data; the difference of
    predicted noises does not.

    Args:
        denoiser: The model.
        noisy: The noisy latents.
        direction: v, (c, h, w) or one for each latent (b, c, h, w), in network coordinates; it is made unit
            length. Or a `PullbackBasis` of rank 1 at the same noise level.
        strength: The paper's gamma; 1 as in its released code for Stable Diffusion. Negative goes the other
            way (v is negated). A tensor (b,) has one for each latent.
        steps: Repetitions.
        probe: The length of the step at whose end the noise is predicted; 1 in the released code.
        mask: (h, w) or broadcastable to x, 1 where the edit may act. It multiplies every update.
        progress: Called as progress(noisy) after each repetition.

    Returns:
        The edited latents, at the same noise level.

    Raises:
        ValueError: The direction does not fit, is zero or not finite, or is of another noise level; or the
            model does not have the noise level.
    """
    schedule = denoiser.schedule
    sigma = schedule.require_level(noisy.sigma)
    z = schedule.to_network(noisy.x, sigma)
    scale = torch.as_tensor(strength, dtype=z.dtype, device=z.device).view(-1, 1, 1, 1)
    if len(scale) not in (1, len(z)):
        raise ValueError(
            f"There must be one strength, or one for each of the {len(z)} samples, got {len(scale)}."
        )
    step = probe * scale.sign() * unit_directions(direction, noisy)
    for _ in range(steps):
        points = torch.cat([z + step, z.expand_as(z + step)])
        moved, still = _predicted_noise(denoiser, points, sigma).chunk(2)
        update = scale.abs() * (moved - still)
        z = z + (update if mask is None else update * mask)
        if progress:
            progress(noisy.with_x(schedule.from_network(z, sigma)))
    return noisy.with_x(schedule.from_network(z, sigma))


def _predicted_noise(denoiser: Denoiser, z: torch.Tensor, sigma: float) -> torch.Tensor:
    """eps(z), (b, c, h, w), of z in network coordinates."""
    x = denoiser.schedule.from_network(z, sigma)
    return denoiser.schedule.predicted_noise(x, denoiser.denoise(x, sigma), sigma)


def unit_directions(direction: torch.Tensor | PullbackBasis, noisy: NoisyLatent) -> torch.Tensor:
    """The directions of the latents, of unit length.

    Args:
        direction: As in `edit`.
        noisy: The noisy latents that are to be moved.

    Returns:
        (1 or b, c, h, w) in network coordinates.

    Raises:
        ValueError: The direction does not fit, is zero or not finite, or is of another noise level.
    """
    if isinstance(direction, PullbackBasis):
        if direction.rank != 1:
            raise ValueError(
                f"An edit takes one direction, got a basis of {direction.rank}; select one of them."
            )
        direction = vectors_of(direction, noisy)
    x = noisy.x
    fits = direction.ndim == 3 or (direction.ndim == 4 and len(direction) in (1, len(x)))
    if not fits or direction.shape[-3:] != x.shape[1:]:
        raise ValueError(
            f"A direction of shape {tuple(direction.shape)} does not fit a latent of shape {tuple(x.shape)}; "
            "compute the basis at the size of this latent."
        )
    length = direction.flatten(-3).norm(dim=-1)
    if (length == 0).any():
        raise ValueError("The direction is zero, so there is nowhere to go.")
    if not torch.isfinite(length).all():
        raise ValueError("The direction holds numbers that are not finite.")
    return (direction.to(x) / length.to(x).view(-1, 1, 1, 1)).view(-1, *x.shape[1:])


def vectors_of(directions: torch.Tensor | PullbackBasis, noisy: NoisyLatent) -> torch.Tensor:
    """Directions as a tensor.

    Args:
        directions: (d, c, h, w) in network coordinates, or a basis.
        noisy: The noisy latent that is to be moved.

    Returns:
        (d, c, h, w) in network coordinates.

    Raises:
        ValueError: The basis is of another noise level.
    """
    if not isinstance(directions, PullbackBasis):
        return directions
    directions.require_level(noisy)
    return directions.v


@torch.no_grad()
def edit_grid(
    denoiser: Denoiser,
    noisy: NoisyLatent,
    directions: torch.Tensor | PullbackBasis,
    strengths: Sequence[float] | torch.Tensor,
    *,
    steps: int = 16,
    mask: torch.Tensor | None = None,
    batch_size: int | None = None,
    quick: bool = False,
    progress: Callable[[int, int], object] | None = None,
) -> NoisyLatent:
    """Edit one noisy latent along each of several directions, at each of several strengths.

    Args:
        denoiser: The model.
        noisy: One noisy latent.
        directions: (d, c, h, w) in network coordinates, or a basis at the same noise level.
        strengths: s numbers, as in `edit`.
        steps: As in `edit`.
        mask: As in `edit`.
        batch_size: Edits that run at once (memory); None runs all.
        quick: Take one step of guidance each way and lengthen it to all `steps` and strengths, for a cheap
            preview.
        progress: Called as progress(evaluations done, evaluations in all).

    Returns:
        d * s edited latents: all strengths of the first direction, then those of the next.

    Raises:
        ValueError: As in `edit`, or there is more than one noisy latent.
    """
    if len(noisy) != 1:
        raise ValueError(f"A grid of edits belongs to one noisy latent, got {len(noisy)}.")
    vectors = vectors_of(directions, noisy)
    strengths = torch.as_tensor(strengths, dtype=noisy.x.dtype).flatten()
    computed = strengths.sign().unique() if quick else strengths
    repetitions = 1 if quick else steps
    rows = vectors.repeat_interleave(len(computed), dim=0).split(batch_size or len(vectors) * len(computed))
    row_strengths = computed.repeat(len(vectors)).to(noisy.x.device).split(len(rows[0]))
    done, total = itertools.count(1), len(rows) * repetitions

    def show(_: NoisyLatent) -> None:
        if progress:
            progress(next(done), total)

    edits = []
    for row, row_strength in zip(rows, row_strengths):
        copies = noisy.with_x(noisy.x.expand(len(row), -1, -1, -1))
        edits.append(
            edit(denoiser, copies, row, strength=row_strength, steps=repetitions, mask=mask, progress=show).x
        )
    x = torch.cat(edits)
    if quick:
        x = _lengthened(x, noisy.x, computed, strengths, steps)
    return noisy.with_x(x)


def _lengthened(
    x: torch.Tensor, start: torch.Tensor, signs: torch.Tensor, strengths: torch.Tensor, steps: int
) -> torch.Tensor:
    """Single steps (d * len(signs), c, h, w) of strength -1, 0 or 1, lengthened to (d * s, c, h, w)."""
    by_direction = x.unflatten(0, (-1, len(signs)))
    matching = by_direction[:, torch.searchsorted(signs, strengths.sign())]
    length = steps * strengths.abs().to(x).view(-1, 1, 1, 1)
    return (start + length * (matching - start)).flatten(0, 1)
