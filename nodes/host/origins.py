"""What a noisy LATENT is made from, kept in the LATENT itself.

Stock nodes copy the entries of a LATENT that they do not know, also when they change its samples. So an entry of ours
names the samples that it speaks of by a hash of each: whatever else is there has no known origin, and passes every check.
"""

import hashlib
from dataclasses import dataclass

import torch

ENTRY = "pullback_origins"  # in a LATENT: {hash of one sample: `Origin`}


@dataclass(frozen=True, eq=False)
class Origin:
    """What one noisy sample of a LATENT is made from.

    sigma: its noise level; picture: a fingerprint of the clean picture, "" where it is unknown.
    clean: the clean picture in sampler coordinates, (c, h, w) on the CPU, or None.
    mask: (1, h, w) on the CPU, 1 where an edit may act; None where nothing was masked.
    """

    sigma: float
    picture: str = ""
    clean: torch.Tensor | None = None
    mask: torch.Tensor | None = None


def origins_of(latent):
    """The `Origin` of each sample of a LATENT, None where it is unknown."""
    known = latent.get(ENTRY) or {}
    return [known.get(_hash(sample)) for sample in latent["samples"]] if known else [None] * len(latent["samples"])


def entry_of(samples, origins):
    """The value of `ENTRY` for samples and the `Origin` of each."""
    return {_hash(sample): origin for sample, origin in zip(samples, origins)}


def inherited_masks(latent):
    """The mask of each sample's `Origin`, as a list of (1, h, w), or None where no sample has one.

    A sample of unknown origin takes the one mask that the entry knows, as it would take a noise mask.
    Raises ValueError where the entry knows several.
    """
    known = [origin.mask for origin in (latent.get(ENTRY) or {}).values()]
    present = [mask for mask in known if mask is not None]
    if not present:
        return None
    origins = origins_of(latent)
    if None in origins and not all(mask is not None and torch.equal(mask, present[0]) for mask in known):
        raise ValueError(
            "The pictures of this latent had different masks, and it cannot be told any more which belongs to which; "
            "connect a mask to the node, or set one with Set Latent Noise Mask."
        )
    masks = [present[0] if origin is None else origin.mask for origin in origins]
    return [torch.ones_like(present[0]) if mask is None else mask for mask in masks]


def _hash(sample):
    return hashlib.sha256(sample.detach().cpu().float().contiguous().numpy().tobytes()).hexdigest()
