"""Makes the helper of these tests importable, `tiny_model`, and holds the models as fixtures."""

import os
import sys

import pytest
import torch

from pullback_core import faces

sys.path.insert(0, os.path.dirname(__file__))


@pytest.fixture(scope="session")
def model():
    """The bundled model."""
    return faces.load_model()


@pytest.fixture(scope="session")
def tiny():
    """A small model of random weights."""
    from tiny_model import TINY

    torch.manual_seed(0)
    return faces.FacesModel(TINY).eval().requires_grad_(False)
