"""Fingerprints: short texts that tell models, prompts and pictures apart without giving them away."""

import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch

BITS = 256
GRID = 16  # pictures are compared at GRID x GRID pixels
FLAT = 1e-3  # a picture with less structure than this share of its norm has no fingerprint
SAME_PICTURE = 0.1  # two encodings of one picture may differ in this share of their bits


class Digest(Protocol):
    """A hash object of `hashlib`."""

    def update(self, data: bytes, /) -> None:
        """Add data to the hash."""


def hash_weights(digest: Digest, weights: Mapping[str, torch.Tensor]) -> None:
    """Add named weights to a hash.

    Only the first four numbers of each tensor are read. They tell models apart, and reading them takes no
    time.

    Args:
        digest: Updated in place.
        weights: Name -> tensor, on any device.
    """
    for name, weight in weights.items():
        digest.update(f"{name} {tuple(weight.shape)} {weight.flatten()[:4].float().tolist()}".encode())


def prompt_hash(prompt: str) -> str:
    """Hash a prompt to 16 characters, so that a shared basis does not reveal its words."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def picture_fingerprints(x0: torch.Tensor) -> list[str]:
    """Compute one fingerprint for each clean latent of a batch.

    A fingerprint holds the signs of fixed random projections of the latent, after the latent was scaled down
    and its mean colour was subtracted. It tells pictures apart. It survives another precision, another run of
    the encoder and rounding. Nobody can see the picture in it.

    Args:
        x0: (b, c, h, w) clean latents.

    Returns:
        One text for each latent; "" for a picture without structure.
    """
    small = torch.nn.functional.adaptive_avg_pool2d(x0.detach().cpu().float(), GRID)
    structure = (small - small.mean(dim=(2, 3), keepdim=True)).flatten(1).numpy()
    # RandomState is the legacy generator: it draws the same numbers in every version of numpy.
    projections = np.random.RandomState(0).standard_normal((BITS, structure.shape[1]))
    signs = structure @ projections.T > 0
    sizes, spreads = small.flatten(1).norm(dim=1).tolist(), np.linalg.norm(structure, axis=1)
    return [
        np.packbits(bits).tobytes().hex() if spread > FLAT * size else ""
        for bits, size, spread in zip(signs, sizes, spreads)
    ]


def are_same_picture(one: str, other: str) -> bool:
    """Tell whether two fingerprints are of one picture.

    Args:
        one: A fingerprint of `picture_fingerprints`, or any other text.
        other: The same.

    Returns:
        True also where that is unknown: for "" and for texts that are no fingerprints.
    """
    bits, other_bits = _fingerprint_bits(one), _fingerprint_bits(other)
    if bits is None or other_bits is None:
        return True
    return float((bits != other_bits).mean()) <= SAME_PICTURE


def _fingerprint_bits(text: str) -> np.ndarray | None:
    """The bits of a fingerprint, (BITS,) of 0 and 1; None for a text that is no fingerprint."""
    try:
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))
    except ValueError:
        return None
    return bits if len(bits) == BITS else None
