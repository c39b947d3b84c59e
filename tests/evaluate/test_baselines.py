"""Rival methods: what they promise, on the bundled model."""

import torch

from pullback_core import NoisyLatent, faces, feature_jacobian
from pullback_core.evaluate.baselines import null_space_basis
from pullback_core.evaluate.measures import share_inside
from pullback_core.evaluate.parts import part_mask


def test_what_is_projected_out_makes_the_change_more_local():
    denoiser = faces.FacesDenoiser(faces.load_model(), feature="picture")
    parameters = faces.example_parameters([3])
    x0 = faces.encode_image(faces.draw_faces(parameters))
    sigma = denoiser.schedule.sigma(0.5)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    noisy = NoisyLatent(denoiser.schedule.add_noise(x0, noise, sigma), torch.tensor([sigma, 0.0]))
    mask = part_mask(parameters[0], "eyes")

    shares = []
    for outside in (1, 6):
        basis = null_space_basis(denoiser, noisy, faces.encode_mask(mask), 1, outside=outside, tolerance=0.2)
        changes = basis.picture_changes()
        torch.testing.assert_close(
            feature_jacobian(denoiser, noisy).jvp(basis.v), changes, rtol=1e-3, atol=1e-3
        )
        assert basis.kind == "null space" and basis.products > 2 * outside
        shares.append(share_inside(faces.decode_latent(changes), mask).item())
    assert shares[0] < shares[1]
