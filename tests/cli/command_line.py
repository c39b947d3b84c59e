"""What the tests of the commands share."""

import json

import numpy as np
from PIL import Image

QUICK = ["--steps", "12", "--rank", "2", "--tolerance", "0.1"]
SHORT = ["--steps", "4", "--rank", "1", "--tolerance", "1", "--refine", "0"]
FEATURES = ["features", "--feature", "middle", "--steps", "2", "--rank", "1", "--refine", "0"]


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def save_noise(path, size):
    """Write a picture of coarse noise. size: (width, height)."""
    picture = (np.random.default_rng(0).random((9, 14, 3)) * 255).astype(np.uint8)
    Image.fromarray(picture).resize(size).save(path)


def strict_json(path):
    """Read JSON, and refuse NaN and infinity, which Python would accept."""

    def refuse(name):
        raise AssertionError(f"{name} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def ids_of(cases):
    """Short names of (arguments, part of the message)."""
    return [" ".join(arguments)[:60].replace("\0", "NUL") for arguments, _ in cases]
