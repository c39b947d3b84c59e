"""What an edit will look like, without evaluating the model."""

from collections.abc import Sequence

import torch

from ..basis import PullbackBasis
from .strength import UNIT


def preview(clean: torch.Tensor, basis: PullbackBasis, lengths: torch.Tensor) -> torch.Tensor:
    """Foretell pictures after straight moves, to first order: clean + sum of c_i J0 v_i.

    Args:
        clean: (c, h, w) or (1, c, h, w), the reconstruction or the predicted picture of the noisy latent that
            the basis belongs to, in sampler coordinates.
        basis: A basis that knows what its directions do to the picture, see `PullbackBasis.picture_changes`.
        lengths: (k, rank), for each picture the length c of the move along each direction, in network
            coordinates.

    Returns:
        (k, c, h, w) in sampler coordinates.

    Raises:
        ValueError: The basis does not know, or the shapes do not fit.
    """
    changes = _changes(clean, basis)
    if lengths.ndim != 2 or lengths.shape[1] != basis.rank:
        raise ValueError(
            f"Lengths of moves have the shape (pictures, {basis.rank}), got {tuple(lengths.shape)}."
        )
    return clean + torch.einsum("kr,rchw->kchw", lengths.to(changes), changes)


def preview_by(
    clean: torch.Tensor,
    basis: PullbackBasis,
    strengths: Sequence[float] | torch.Tensor,
    *,
    mask: torch.Tensor | None = None,
) -> torch.Tensor:
    """Foretell pictures after edits by strengths in units of what is seen, as `edit_by` makes them.

    The size of each change is exact by its definition. Its form is that of the first order. On the bundled
    faces the cosine with the true change at strength 1 is given in docs/evaluation.md.

    Args:
        clean: As in `preview`.
        basis: As in `preview`.
        strengths: s numbers, see `strength.UNIT`.
        mask: (h, w) or broadcastable to clean, 1 where the edit acts.

    Returns:
        (d * s, c, h, w) in sampler coordinates: all strengths of the first direction, then those of the next.

    Raises:
        ValueError: The basis does not know what its directions do to the picture, a direction does nothing to
            it, or the mask is empty.
    """
    changes = _changes(clean, basis)
    lengths = unit_lengths(basis, mask).to(changes).view(-1, 1, 1, 1)
    steps = lengths * _weights(changes, mask) * changes
    amounts = torch.as_tensor(strengths, dtype=changes.dtype, device=changes.device).flatten()
    return (clean + torch.einsum("s,rchw->rschw", amounts, steps)).flatten(0, 1)


def unit_lengths(basis: PullbackBasis, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The length of the move along each direction that changes the picture by one unit, to first order.

    Args:
        basis: A basis that knows what its directions do to the picture.
        mask: (h, w) or broadcastable to the latent, 1 where the edit acts.

    Returns:
        (rank,) lengths in network coordinates, in float64 on the CPU.

    Raises:
        ValueError: The basis does not know what its directions do to the picture, a direction does nothing to
            it, or the mask is empty.
    """
    sizes = seen_sizes(basis.picture_changes(), mask)
    # Written so that NaN fails.
    if not (sizes > 0).all():
        raise ValueError("A direction changes nothing in the picture, so no strength of it can be shown.")
    return UNIT / sizes


def seen_sizes(changes: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The size of changes of the picture, as strengths count it.

    Args:
        changes: (k, c, h, w) in sampler coordinates.
        mask: (h, w) or broadcastable to them, 1 where the edit acts.

    Returns:
        (k,) root mean squares inside the mask, in float64 on the CPU.

    Raises:
        ValueError: The mask is empty.
    """
    changes = changes.detach().cpu().double()
    weights = _weights(changes, mask)
    if not weights.any():
        raise ValueError("The mask is empty, so there is nothing to edit.")
    return ((changes.square() * weights).flatten(1).sum(dim=1) / weights.flatten(1).sum(dim=1)).sqrt()


def _weights(changes: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """How much an edit acts at each number of changes (k, c, h, w)."""
    return torch.ones_like(changes) if mask is None else mask.to(changes) * torch.ones_like(changes)


def _changes(clean: torch.Tensor, basis: PullbackBasis) -> torch.Tensor:
    """What the directions do to the picture, on its device. Refuses a basis of another size."""
    changes = basis.picture_changes().to(clean)
    if clean.shape[-3:] != changes.shape[1:] or clean.numel() != changes[0].numel():
        raise ValueError(
            f"A preview takes one picture of shape {tuple(changes.shape[1:])}, got {tuple(clean.shape)}."
        )
    return changes
