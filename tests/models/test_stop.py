"""The exception that ends a forward pass."""

import pytest
import torch

from pullback_core.models.stop import StopForward


def test_a_network_that_catches_exceptions_does_not_catch_it():
    def network(x):
        try:
            raise StopForward(x)
        except Exception:
            return None

    x = torch.ones(2)
    with pytest.raises(StopForward) as stop:
        network(x)
    assert stop.value.h is x
