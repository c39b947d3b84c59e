"""Ending a forward pass at a block."""

import pytest
import torch

from pullback_core.models.stop import StopForward, output_of_block


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


class Halves(torch.nn.Module):
    """A network whose second block must not run."""

    def __init__(self, returns=lambda x: x):
        super().__init__()
        self.first, self.second = torch.nn.Identity(), torch.nn.Identity()
        self.first.forward = returns
        self.ran = []
        self.second.register_forward_pre_hook(lambda *_: self.ran.append("second"))

    def forward(self, x):
        return self.second(self.first(x))


@pytest.mark.parametrize("returns", [lambda x: 2 * x, lambda x: (2 * x, "skips")], ids=["tensor", "tuple"])
def test_a_network_ends_at_the_block_and_is_whole_afterwards(returns):
    network, x = Halves(returns), torch.ones(2)
    h = output_of_block(network.first, "first", lambda: network(x))
    assert torch.equal(h, 2 * x) and not network.ran
    network(x)
    assert network.ran == ["second"]


def test_an_error_in_the_network_leaves_no_hook_behind():
    network = Halves(returns=lambda x: x.missing)
    for _ in range(2):
        with pytest.raises(AttributeError, match="missing"):
            output_of_block(network.first, "first", lambda: network(torch.ones(2)))
    assert not network.first._forward_hooks


def test_a_block_that_is_never_called_is_named():
    with pytest.raises(RuntimeError, match=r"without calling its block 'attic'; restore.*own forward\.$"):
        output_of_block(torch.nn.Identity(), "attic", lambda: None)
