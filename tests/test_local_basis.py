"""The search for a basis at a noisy latent."""

import pytest
import torch

from pullback_core import Denoiser, NoisyLatent, VPSchedule, local_basis
from pullback_core.local_basis import in_network_coordinates


class Hidden(Denoiser):
    """A model whose feature is computed without a record of gradients."""

    schedule, provenance = VPSchedule.scaled_linear(0.00085, 0.012), {}

    def denoise(self, x, sigma):
        return x

    @torch.no_grad()
    def encode(self, x, sigma):
        return torch.tanh(x)


def test_a_basis_of_what_autograd_cannot_see_is_refused():
    x = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="does not depend on the noisy latent"):
        local_basis(Hidden(), NoisyLatent(x, torch.tensor([1.5, 0.0])), 2)


def test_a_feature_in_network_coordinates_is_that_of_the_same_picture():
    schedule = VPSchedule.scaled_linear(0.00085, 0.012)
    encode_z = in_network_coordinates(lambda x, sigma: sigma * x, schedule, 2.0)
    x = torch.randn(2, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(encode_z(schedule.to_network(x, 2.0)), 2.0 * x)
