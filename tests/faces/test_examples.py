"""Example faces."""

import pytest
import torch

from pullback_core import faces


def test_examples_are_numbered():
    both = faces.example_faces([3, 4])
    assert torch.equal(faces.example_faces([4])[0], both[1]) and not torch.equal(both[0], both[1])


@pytest.mark.parametrize("number", [-1, faces.LAST_EXAMPLE + 1, 10**20])
def test_examples_without_a_number_are_refused(number):
    with pytest.raises(ValueError, match=f"from 0 to {faces.LAST_EXAMPLE}"):
        faces.example_faces([number])
    assert faces.example_faces([faces.LAST_EXAMPLE]).shape == (1, 3, 48, 48)
