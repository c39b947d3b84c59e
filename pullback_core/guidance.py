"""x-space guidance: the edit of Park et al. 2023, section 3.3."""

import itertools

import torch

from .models.denoiser import predicted_noise

SCALE_PER_STRENGTH = 1.0  # the paper's gamma at strength 1, as released for Stable Diffusion


@torch.no_grad()
def x_space_guidance(denoiser, z, sigma, direction, *, scale, step=1.0, steps=16, mask=None, progress=None):
    """Move a noisy latent along a direction while staying where the model puts its data.

    Repeats z <- z + scale * [eps(z + step * v) - eps(z)] at one timestep with one fixed v. Plain
    z + lambda * v leaves the data's neighbourhood; the difference of predicted noises does not.

    z: (b, c, h, w) in network coordinates (VP or flow) at noise level sigma.
    direction: v, (c, h, w) or one for each sample (b, c, h, w); made unit length, as right singular vectors are.
    scale: the paper's gamma; negative goes the other way (v is negated). A tensor (b,) sets it for each sample.
    step: the length d of the probe (1 in the released code).
    mask: (h, w) or broadcastable to z, 1 where the edit may act; multiplies every update.
    progress: called as progress(z) after each repetition.
    Returns the trajectory, a list of steps + 1 tensors of z's shape; the last one is the edit.
    Raises ValueError for a direction that does not fit z, or is zero, and for a noise level that the model does not have.
    """
    sigma = denoiser.schedule.require_level(sigma)
    if (
        direction.shape[-3:] != z.shape[1:]
        or direction.ndim not in (3, 4)
        or (direction.ndim == 4 and len(direction) not in (1, len(z)))
    ):
        raise ValueError(
            f"A direction of shape {tuple(direction.shape)} does not fit a latent of shape {tuple(z.shape)}; "
            "compute the basis at the size of this latent."
        )
    length = direction.flatten(-3).norm(dim=-1)
    if (length == 0).any():
        raise ValueError("The direction is zero, so there is nowhere to go.")
    if not torch.isfinite(length).all():
        raise ValueError("The direction holds numbers that are not finite.")
    scale = torch.as_tensor(scale, dtype=z.dtype, device=z.device).view(-1, 1, 1, 1)
    if len(scale) not in (1, len(z)):
        raise ValueError(
            f"There must be one scale, or one for each of the {len(z)} samples, got {len(scale)}."
        )
    probe = step * scale.sign() * direction.to(z) / length.to(z).view(-1, 1, 1, 1)
    trajectory = [z]
    for _ in range(steps):
        moved, still = predicted_noise(denoiser, torch.cat([z + probe, z.expand_as(z + probe)]), sigma).chunk(
            2
        )
        update = scale.abs() * (moved - still)
        z = z + (update if mask is None else update * mask)
        trajectory.append(z)
        if progress:
            progress(z)
    return trajectory


@torch.no_grad()
def edit_grid(
    denoiser,
    z,
    sigma,
    directions,
    strengths,
    *,
    steps=16,
    mask=None,
    batch_size=None,
    quick=False,
    progress=None,
):
    """One noisy latent, edited along each of several directions at each of several strengths.

    z: (c, h, w) or (1, c, h, w) in network coordinates at noise level sigma; directions: (d, c, h, w).
    strengths: a list of s numbers; 1 is gamma = `SCALE_PER_STRENGTH`, negative goes the other way.
    steps, mask: as in `x_space_guidance`. batch_size: edits that run at once (memory); None runs all.
    quick: take one step of guidance each way and lengthen it to all `steps` and strengths: a cheap preview.
    progress: called as progress(evaluations done, evaluations in all).
    Returns (d, s, c, h, w) in network coordinates. Raises ValueError as `x_space_guidance` does.
    """
    z = z.view(1, *z.shape[-3:])
    strengths = torch.as_tensor(strengths, dtype=z.dtype).flatten()
    taken = strengths.sign().unique() if quick else strengths
    vectors = directions.repeat_interleave(len(taken), dim=0).split(
        batch_size or len(directions) * len(taken)
    )
    scales = (SCALE_PER_STRENGTH * taken).repeat(len(directions)).to(z.device).split(len(vectors[0]))
    repetitions = 1 if quick else steps
    done, total = itertools.count(1), len(vectors) * repetitions
    edits = torch.cat(
        [
            x_space_guidance(
                denoiser,
                z.expand(len(part), -1, -1, -1),
                sigma,
                part,
                scale=scale,
                steps=repetitions,
                mask=mask,
                progress=progress and (lambda _: progress(next(done), total)),
            )[-1]
            for part, scale in zip(vectors, scales)
        ]
    ).unflatten(0, (len(directions), len(taken)))
    if quick:
        length = steps * strengths.abs().to(z).view(-1, 1, 1, 1)
        edits = z + length * (edits[:, torch.searchsorted(taken, strengths.sign())] - z)
    return edits
