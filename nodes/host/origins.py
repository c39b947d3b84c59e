"""What a noisy LATENT was made from, kept in the LATENT itself.

Stock nodes copy the entries of a LATENT that they do not know, also when they change its samples. So our
entry names each sample that it describes by a hash. A sample with another hash has no known origin, and
passes every check.
"""

import hashlib
from dataclasses import dataclass, replace

import torch

ENTRY = "pullback_origins"  # in a LATENT: a list of (hash of one sample, its `Origin`)


@dataclass(frozen=True, eq=False)
class Origin:
    """What one noisy sample of a LATENT was made from.

    Attributes:
        sigma: Its noise level.
        picture: The fingerprint of the clean picture, "" where it is unknown.
        clean: The clean picture in sampler coordinates, (c, h, w) on the CPU; None where it is unknown.
        mask: (1, h, w) on the CPU, 1 where an edit may act; None where nothing was masked.
        sigmas: (steps + 1,) the decreasing noise levels back to the clean picture, or None.
    """

    sigma: float
    picture: str = ""
    clean: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    sigmas: torch.Tensor | None = None


def origins_of(latent):
    """The `Origin` of each sample of a LATENT, None where it is unknown."""
    return [found[0] if found else None for found in _candidates(latent)]


def with_picture(basis, origin):
    """The basis with the picture of an `Origin` in its provenance. origin: None where it is unknown."""
    if origin is None or not origin.picture:
        return basis
    return replace(basis, provenance={**basis.provenance, "picture": origin.picture})


def entry_of(samples, origins):
    """The value of `ENTRY` for samples and the `Origin` of each."""
    return [(_hash(sample), origin) for sample, origin in zip(samples, origins)]


def inherited_masks(latent):
    """The mask of each sample's `Origin`, as a list of (1, h, w). None where no sample has one.

    A sample of unknown origin takes the only mask that the entry knows, as it would take a noise mask.

    Raises:
        ValueError: It is unknown which of several masks belongs to a sample.
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
                "The pictures of this latent had different masks, and it cannot be told any more which "
                "belongs to which; connect a mask to the node, or set one with Set Latent Noise Mask."
            )
        masks.append(torch.ones(shapes[0]) if found[0].mask is None else found[0].mask)
    return masks


def _candidates(latent):
    """The `Origin`s that each sample of a LATENT may have.

    There are several where samples are equal and their order is lost, none where the origin is unknown.
    """
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
