"""What a noisy LATENT is made from, kept in the LATENT itself.

Stock nodes copy the entries of a LATENT that they do not know, also when they change its samples. So an entry of ours
names the samples that it speaks of by a hash of each: whatever else is there has no known origin, and passes every check.
"""

import hashlib
from dataclasses import dataclass

import torch

ENTRY = "pullback_origins"  # in a LATENT: a list of (hash of one sample, its `Origin`)


@dataclass(frozen=True, eq=False)
class Origin:
    """What one noisy sample of a LATENT is made from.

    sigma: its noise level; picture: a fingerprint of the clean picture, "" where it is unknown.
    clean: the clean picture in sampler coordinates, (c, h, w) on the CPU, or None.
    mask: (1, h, w) on the CPU, 1 where an edit may act; None where nothing was masked.
    way: the way back to the clean picture as SIGMAS, (steps + 1,), or None.
    """

    sigma: float
    picture: str = ""
    clean: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    way: torch.Tensor | None = None


def origins_of(latent):
    """The `Origin` of each sample of a LATENT, None where it is unknown."""
    return [found[0] if found else None for found in _candidates(latent)]


def entry_of(samples, origins):
    """The value of `ENTRY` for samples and the `Origin` of each."""
    return [(_hash(sample), origin) for sample, origin in zip(samples, origins)]


def inherited_masks(latent):
    """The mask of each sample's `Origin`, as a list of (1, h, w), or None where no sample has one.

    A sample of unknown origin takes the one mask that the entry knows, as it would take a noise mask.
    Raises ValueError where the entry knows several.
    """
    known = [origin for _, origin in latent.get(ENTRY) or []]
    shapes = [origin.mask.shape for origin in known if origin.mask is not None]
    if not shapes:
        return None
    masks = []
    for found in _candidates(latent):
        found = found or known
        if not all(_have_one_mask(origin, found[0]) for origin in found):
            raise ValueError(
                "The pictures of this latent had different masks, and it cannot be told any more which belongs to which; "
                "connect a mask to the node, or set one with Set Latent Noise Mask."
            )
        masks.append(torch.ones(shapes[0]) if found[0].mask is None else found[0].mask)
    return masks


def _candidates(latent):
    """For each sample of a LATENT the `Origin`s that it may have: several where samples are equal and their order is lost."""
    known = latent.get(ENTRY) or []
    hashes = [_hash(sample) for sample in latent["samples"]] if known else [""] * len(latent["samples"])
    if hashes == [name for name, _ in known]:
        return [[origin] for _, origin in known]
    return [[origin for name, origin in known if name == wanted] for wanted in hashes]


def _have_one_mask(one, other):
    if one.mask is None or other.mask is None:
        return one.mask is other.mask
    return torch.equal(one.mask, other.mask)


def _hash(sample):
    return hashlib.sha256(sample.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()
