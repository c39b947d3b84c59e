"""Weighted sums of the directions of a basis, with what they do to the feature and to the picture.

Products with a Jacobian are linear. So whatever is known of some directions is known of their sums, without
any evaluation of the model.
"""

from dataclasses import replace

import torch

from ..basis import PullbackBasis


def weighted_sums(basis: PullbackBasis, weights: torch.Tensor, kind: str) -> PullbackBasis:
    """Make a basis of weighted sums of the directions of another one. J v_i = s_i u_i holds for it as well.

    Args:
        basis: Any basis.
        weights: (k, rank), one row for each sum; their lengths do not matter.
        kind: The kind of the new basis.

    Returns:
        A basis of k directions at the same point: the unit vectors along `weights @ v`, in this order, with
        the sign of the sum. It has `pictures` and a search space if `basis` has them. It has no names.

    Raises:
        ValueError: The weights do not fit the basis, or a sum is zero or not finite.
    """
    weights = weights.detach().cpu().double()
    if weights.ndim != 2 or not len(weights) or weights.shape[1] != basis.rank:
        raise ValueError(
            f"Weights of sums have the shape (sums, {basis.rank} directions), got {tuple(weights.shape)}."
        )
    v = mixed(weights, basis.v)
    lengths = v.flatten(1).norm(dim=1)
    if not (torch.isfinite(lengths) & (lengths > 0)).all():
        raise ValueError("A weighted sum of directions is zero or not finite; choose other weights.")
    weights = weights / lengths.cpu().double()[:, None]
    responses = mixed(weights * basis.s.cpu().double(), basis.u)
    return replace(
        basis,
        v=unit(v),
        s=responses.flatten(1).norm(dim=1).to(basis.s),
        u=unit(responses),
        residuals=_residuals(weights, basis),
        pictures=None if basis.pictures is None else mixed(weights, basis.pictures),
        kind=kind,
        names=[],
    )


def sums_of_known(basis: PullbackBasis, weights: torch.Tensor, kind: str) -> PullbackBasis:
    """Make a basis of weighted sums of all vectors whose products a basis knows.

    These are more than its directions where it kept its search space.

    Args:
        basis: Any basis.
        weights: (k, n), one row for each sum of the n vectors of `basis.known_products()`.
        kind: The kind of the new basis.

    Returns:
        As `weighted_sums` does. It has `pictures` only if `basis` has them and kept no search space, because
        those of the search space are not known.

    Raises:
        ValueError: As in `weighted_sums`.
    """
    if basis.search_space is None:
        return weighted_sums(basis, weights, kind)
    q, products = basis.known_products()
    s = products.flatten(1).norm(dim=1)
    known = replace(
        basis,
        v=q,
        s=s,
        u=unit(products),
        residuals=basis.residuals.max().expand(len(q)).clone(),
        pictures=None,
        names=[],
    )
    return weighted_sums(known, weights, kind)


def mixed(weights: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Weighted sums of tensors.

    Args:
        weights: (k, n).
        rows: (n, ...).

    Returns:
        (k, ...) in the dtype and on the device of `rows`; computed in float64 on the CPU.
    """
    sums = weights.cpu().double() @ rows.flatten(1).cpu().double()
    return sums.view(-1, *rows.shape[1:]).to(rows)


def unit(rows: torch.Tensor) -> torch.Tensor:
    """The same tensors (k, ...), each of length 1. A tensor of zeros stays zero."""
    lengths = rows.flatten(1).norm(dim=1).clamp(min=torch.finfo(rows.dtype).tiny)
    return rows / lengths.view(-1, *[1] * (rows.ndim - 1))


def _residuals(weights: torch.Tensor, basis: PullbackBasis) -> torch.Tensor:
    """The residuals of sums: the mean square of those of the directions, each by its share in the sum."""
    shares = (weights / weights.norm(dim=1, keepdim=True)).square()
    return (shares @ basis.residuals.cpu().double().square()).sqrt().to(basis.residuals)
