"""Directions from words: what a word would change in the picture, and the direction that makes this change.

The shift of a word is what it changes in the predicted picture: x0(z, word) - x0(z). A model decides large
things, such as a hat or the background, at high noise, and small ones at low noise. So the shift is heard at
several noise levels, see `listening_points`, and used at the noisy latent of a basis.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from ..basis import PullbackBasis, are_same_level, require_one_origin
from ..linalg.precision import without_autocast
from ..models.denoiser import Denoiser
from ..models.schedule import NoiseSchedule
from ..noisy import NoisyLatent
from .pictures import as_picture_basis
from .shifts import NO_CHANGE
from .sums import sums_of_known, weighted_sums

WORD = "word"  # the kind of such a basis
# Times at which a model listens. Measured on the bundled model, 5 faces and 42 pairs of a face and a word, at
# 0.5 T and equal change: what the word names changes most of all in 0.67 with the shift heard at the latent
# itself, and in 0.74 with these. Its share of all change is 0.35 and 0.43.
TIMES = (0.6, 0.7, 0.8, 0.9)
DAMPING = 0.003  # of moves that are fitted: 0.001 to 0.01 differ little
KEEPING = 1e-3  # responses below this share of the largest squared one are not used to keep a word
NOTHING_LEFT = 1e-4  # a direction that does less than this share of what it did before is rounding
NEGLIGIBLE = 1e-6  # squared responses below this share of the largest are rounding


class WordDirection(NamedTuple):
    """The direction of a word.

    Attributes:
        basis: One direction, of kind "word".
        explained: The share of the shift of the word that the basis can make at all, in [0, 1].
    """

    basis: PullbackBasis
    explained: float


class ListeningPoint(NamedTuple):
    """A noisy latent at which a model listens to words.

    Attributes:
        noisy: One noisy latent of the picture.
        weight: How much it counts.
    """

    noisy: NoisyLatent
    weight: float


def listening_points(
    x0: torch.Tensor, schedule: NoiseSchedule, noisy: NoisyLatent | None = None, *, seed: int = 0
) -> list[ListeningPoint]:
    """Noisy latents of a picture at which a model listens to words.

    Args:
        x0: (1, c, h, w) or (c, h, w), the clean picture in sampler coordinates.
        schedule: The noise schedule of the model.
        noisy: The noisy latent of the basis. It counts as much as all other points together. None leaves it
            out.
        seed: The seed of the noises of the other points, which are drawn on the CPU.

    Returns:
        The points: `noisy`, and the picture with other noise at each of `TIMES`.

    Raises:
        ValueError: There is more than one picture, or the latent is not of its shape.
    """
    shape = tuple(x0.shape[-3:])
    if x0.ndim not in (3, 4) or x0.numel() != x0.shape[-3:].numel():
        raise ValueError(f"A model listens at one picture, (c, h, w), got {tuple(x0.shape)}.")
    if noisy is not None and tuple(noisy.x.shape) != (1, *shape):
        raise ValueError(
            f"A model listens at one noisy latent of the shape {(1, *shape)}, got {tuple(noisy.x.shape)}."
        )
    generator = torch.Generator().manual_seed(seed)
    points = [] if noisy is None else [ListeningPoint(noisy, 1.0)]
    for time in TIMES:
        sigma = schedule.sigma(time)
        noise = torch.randn(1, *shape, generator=generator).to(x0)
        x = schedule.add_noise(x0.view(1, *shape), noise, sigma)
        levels = torch.tensor([sigma, 0.0], dtype=torch.float64)
        points.append(ListeningPoint(NoisyLatent(x, levels), 1 / len(TIMES)))
    return points


def word_shift(
    denoiser: Denoiser, word_denoiser: Denoiser, points: NoisyLatent | Sequence[ListeningPoint]
) -> torch.Tensor:
    """What a word changes in the predicted picture: x0(z, word) - x0(z), as a mean over noisy latents.

    Args:
        denoiser: The model with the prompt of the picture. For a pair of prompts, with the other end, such as
            "frowning" for "smiling".
        word_denoiser: The same model with the word.
        points: The result of `listening_points`, or the noisy latent of the basis alone.

    Returns:
        (c, h, w) in sampler coordinates. It takes two evaluations of each noisy latent.

    Raises:
        ValueError: The denoisers are known to be of different models, or the word changes nothing.
    """
    models = denoiser.provenance.get("model"), word_denoiser.provenance.get("model")
    if models[0] != models[1] and None not in models:
        raise ValueError(f"A word takes one model with two prompts, got the models {models[0]}, {models[1]}.")
    shift = predicted_mean(word_denoiser, points) - predicted_mean(denoiser, points)
    if not torch.isfinite(shift).all() or not shift.any():
        raise ValueError(NO_CHANGE)
    return shift


@torch.no_grad()
def predicted_mean(denoiser: Denoiser, points: NoisyLatent | Sequence[ListeningPoint]) -> torch.Tensor:
    """The mean of the pictures that a model predicts at several noisy latents.

    `word_shift` is the difference of two of them. Where two prompts cannot be evaluated at one time, as in a
    host, this is its half.

    Args:
        denoiser: The model with one prompt.
        points: As in `word_shift`.

    Returns:
        (c, h, w) in sampler coordinates.
    """
    if isinstance(points, NoisyLatent):
        points = [ListeningPoint(points[index], 1.0) for index in range(len(points))]
    total = torch.zeros_like(points[0].noisy.x[0])
    for noisy, weight in points:
        there = denoiser.along(noisy.sigmas)
        total += weight * there.denoise(noisy.x, noisy.sigma)[0]
    return total / sum(point.weight for point in points)


@without_autocast()
def word_direction(
    basis: PullbackBasis,
    shift: torch.Tensor,
    keep: Sequence[torch.Tensor] = (),
    *,
    own: PullbackBasis | None = None,
    name: str = "",
) -> WordDirection:
    """Find the direction of a word at the noisy latent of a basis, without evaluating the model.

    The best direction is the strong part of the shift itself, used as a move of the latent: give the response
    to it as `own`. Without `own`, it is the sum q^T c of vectors whose response w = J0 q the basis knows that
    minimises ||w^T c - shift||^2 + damping s^2 ||c||^2, where s is the largest response.

    What words to keep would change is then taken out of what the direction does: the sum of known vectors
    that does it with the shortest move is subtracted.

    Args:
        basis: A basis of the feature "picture" at one noisy latent, or one with `pictures`. The more it knows
            the better: keep its search space, or choose a large rank.
        shift: (c, h, w) the shift of the word, see `word_shift`.
        keep: The shifts of words that shall not change.
        own: The result of `responses` to `strongest_part(shift)` at the noisy latent of the basis.
        name: The name of the direction, usually the word.

    Returns:
        The direction, with its name, and the share of the shift that the basis explains.

    Raises:
        ValueError: The basis does not know what its directions do to the picture, a shift has another shape,
            is zero or not finite, or nothing is left when the words to keep are taken out.
    """
    known = _everything_known(basis)
    rows = known.picture_changes().flatten(1).cpu().double()
    target = _checked(shift, known)
    explained = _share_explained(rows, target)
    if own is None:
        weights, move = _fitted(rows, target), known
    else:
        _require_one_place(known, own)
        move = _joined(known, own)
        rows = move.picture_changes().flatten(1).cpu().double()
        weights = torch.zeros(len(rows), dtype=torch.float64)
        weights[-1] = 1.0
    if keep:
        kept = torch.stack([_checked(other, known) for other in keep])
        weights = _without(weights, rows, kept, known.rank)
    found = weighted_sums(move, weights[None], WORD)
    return WordDirection(replace(found, names=[name] if name else [], search_space=None), explained)


def _fitted(rows: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The weights of known responses (k, n) that make a shift (n,) by a short move."""
    products = rows @ rows.T
    largest = torch.linalg.eigvalsh(products)[-1]
    system = products + DAMPING * largest * torch.eye(len(rows), dtype=torch.float64)
    return torch.linalg.solve(system, rows @ target)


def _without(weights: torch.Tensor, rows: torch.Tensor, keep: torch.Tensor, count: int) -> torch.Tensor:
    """Weights of responses (k, n) whose sum does nothing of what words to keep (m, n) do.

    They are changed for the first `count` responses alone.
    """
    overlaps = rows @ (keep / keep.norm(dim=1, keepdim=True)).T
    usable = overlaps[:count]
    products = usable.T @ usable
    solved = torch.linalg.pinv(products, hermitian=True, rtol=KEEPING) @ (overlaps.T @ weights)
    left = weights.clone()
    left[:count] -= usable @ solved
    if not (left @ rows).norm() > NOTHING_LEFT * (weights @ rows).norm():
        raise ValueError(
            "Nothing is left of the word: it changes only what the words to keep change; keep fewer words."
        )
    return left


def _everything_known(basis: PullbackBasis) -> PullbackBasis:
    """All vectors whose effect on the picture is known, as one basis of the feature "picture"."""
    known = as_picture_basis(basis)  # refuses a basis that does not know
    if known.search_space is not None:
        known = sums_of_known(known, torch.eye(len(known.known_products()[0])), WORD)
    return replace(known, search_space=None, names=[], notes="", thumbnail=None)


def _require_one_place(basis: PullbackBasis, own: PullbackBasis) -> None:
    """Refuse a response that is not of the place of a basis of the feature "picture"."""
    require_one_origin(basis, own)
    if own.rank != 1 or own.v.shape[1:] != basis.v.shape[1:] or not are_same_level(basis.sigma, own.sigma):
        raise ValueError(
            f"The response to the word must be one direction of shape {tuple(basis.v.shape[1:])} at noise "
            f"level {basis.sigma:.4g}, got {tuple(own.v.shape)} at {own.sigma:.4g}."
        )


def _joined(one: PullbackBasis, other: PullbackBasis) -> PullbackBasis:
    """The directions of two bases of one feature, one after the other."""
    return replace(
        one,
        v=torch.cat([one.v, other.v.to(one.v)]),
        s=torch.cat([one.s, other.s.to(one.s)]),
        u=torch.cat([one.u, other.u.to(one.u)]),
        residuals=torch.cat([one.residuals, other.residuals.to(one.residuals)]),
        products=one.products + other.products,
    )


def _checked(shift: torch.Tensor, basis: PullbackBasis) -> torch.Tensor:
    """A shift (c, h, w) as a vector in float64 on the CPU."""
    if shift.shape != basis.v.shape[1:]:
        raise ValueError(
            f"The shift of a word has the shape of the latent, {tuple(basis.v.shape[1:])}, got "
            f"{tuple(shift.shape)}."
        )
    shift = shift.detach().flatten().cpu().double()
    if not torch.isfinite(shift).all() or not shift.any():
        raise ValueError(NO_CHANGE)
    return shift


def _share_explained(rows: torch.Tensor, target: torch.Tensor) -> float:
    """The share of the energy of a target (n,) that lies in the span of rows (k, n)."""
    _, sizes, directions = torch.linalg.svd(rows, full_matrices=False)
    directions = directions[sizes.square() > NEGLIGIBLE * sizes[0].square()]
    return float((directions @ target).square().sum() / target.square().sum())
