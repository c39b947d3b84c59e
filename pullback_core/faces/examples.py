"""Example faces, which the model has never seen."""

from collections.abc import Sequence

import torch

from .draw import draw_faces
from .parameters import sample_parameters

HELD_OUT_SEED = 2**40  # far above every seed that training uses
LAST_EXAMPLE = 2**64 - 1 - HELD_OUT_SEED  # seeds have 64 bits


def example_parameters(numbers: Sequence[int], data: str = "faces") -> torch.Tensor:
    """Draw the parameters of example faces.

    Args:
        numbers: b numbers of examples, from 0 to `LAST_EXAMPLE`.
        data: A key of `DATA`.

    Returns:
        (b, len(NAMES)) in [0, 1].

    Raises:
        ValueError: There is no example of such a number.
    """
    for number in numbers:
        if not 0 <= number <= LAST_EXAMPLE:
            raise ValueError(f"Example faces are numbered from 0 to {LAST_EXAMPLE}, got {number}.")
    generators = [torch.Generator().manual_seed(HELD_OUT_SEED + number) for number in numbers]
    return torch.cat([sample_parameters(1, generator, data) for generator in generators])


def example_faces(numbers: Sequence[int], data: str = "faces") -> torch.Tensor:
    """Draw example faces.

    Args:
        numbers: b numbers of examples, as in `example_parameters`.
        data: A key of `DATA`.

    Returns:
        (b, 3, 48, 48) RGB in [-1, 1].
    """
    return draw_faces(example_parameters(numbers, data))
