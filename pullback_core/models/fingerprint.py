"""Which picture a basis and a noisy latent belong to, and whether a latent has noise in it at all."""

import numpy as np
import torch

BITS = 256
GRID = 16  # pictures are compared at this many pixels a side
FLAT = 1e-3  # of a latent's norm; with less structure than that, there is nothing to tell pictures apart by
SAME_PICTURE = 0.1  # of the bits, which may differ between two encodings of one picture
TOO_LITTLE_NOISE = 0.25  # of the noise that belongs to a level
SMOOTH = 0.7  # finest differences of pictures are smaller than this, as a part of their spread


def picture_fingerprints(x0):
    """One fingerprint for each clean latent of a batch (b, c, h, w), as text; "" for a picture without structure.

    A fingerprint holds the signs of fixed random projections of the latent, made small and freed of its mean colour. It
    tells pictures apart and survives another precision, encoder run or rounding, but nobody can see the picture in it.
    """
    small = torch.nn.functional.adaptive_avg_pool2d(x0.detach().cpu().float(), GRID)
    structure = (small - small.mean(dim=(2, 3), keepdim=True)).flatten(1).numpy()
    rows = np.random.RandomState(0).standard_normal(
        (BITS, structure.shape[1])
    )  # legacy: the same numbers in every numpy
    signs = structure @ rows.T > 0
    sizes, spreads = small.flatten(1).norm(dim=1).tolist(), np.linalg.norm(structure, axis=1)
    return [
        np.packbits(bits).tobytes().hex() if spread > FLAT * size else ""
        for bits, size, spread in zip(signs, sizes, spreads)
    ]


def are_same_picture(one, other):
    """Whether two fingerprints are of one picture. True where that is unknown: for "" and for texts that are no fingerprints."""
    try:
        one, other = (
            np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8)) for text in (one, other)
        )
    except ValueError:
        return True
    if len(one) != BITS or len(other) != BITS:
        return True
    return float((one != other).mean()) <= SAME_PICTURE


def lacks_noise(x, sigma, alpha=1.0):
    """For each latent of a batch (b, c, h, w), whether it is evidently a clean picture and not one at noise level sigma.

    x: in sampler coordinates, alpha * x_0 + sigma * noise. Noise is looked for in the finest diagonal differences,
    where pictures have little. Returns a list of bool; False for latents of a single row or column, of zeros or of NaN.
    """
    height, width = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    if not height or not width:
        return [False] * len(x)
    part = x[..., :height, :width].float() / alpha
    top, bottom = part[..., 0::2, :], part[..., 1::2, :]
    diagonal = (
        top[..., 0::2] - top[..., 1::2] - bottom[..., 0::2] + bottom[..., 1::2]
    ) / 2  # of unit variance for unit noise
    finest = diagonal.square().mean(dim=(1, 2, 3)).sqrt()
    spread = (part - part.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(1, 2, 3)).sqrt()
    clean = (finest < TOO_LITTLE_NOISE * sigma / alpha) & (finest <= SMOOTH * spread)
    return (clean & (part != 0).flatten(1).any(dim=1)).tolist()
