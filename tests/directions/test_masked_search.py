"""The search within masks, on the bundled model."""

from dataclasses import replace

import pytest
import torch

from pullback_core import NoisyLatent, faces, feature_jacobian, local_basis
from pullback_core.directions.masked_search import search_within
from pullback_core.directions.masks import masked_basis
from pullback_core.evaluate.parts import part_mask


@pytest.fixture(scope="module")
def case():
    denoiser = faces.FacesDenoiser(faces.load_model(), feature="picture")
    parameters = faces.example_parameters([3])
    x0 = faces.encode_image(faces.draw_faces(parameters))
    sigma = denoiser.schedule.sigma(0.5)
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0))
    noisy = NoisyLatent(denoiser.schedule.add_noise(x0, noise, sigma), torch.tensor([sigma, 0.0]))
    mouth = faces.encode_mask(part_mask(parameters[0], "mouth"))
    start = local_basis(denoiser, noisy, 4, max_products=16, keep_space=True)
    return denoiser, noisy, mouth, start


def test_it_finds_in_few_products_what_a_free_search_does_not(case):
    denoiser, noisy, mouth, _ = case
    free = local_basis(denoiser, noisy, 4, max_products=16, keep_space=True)
    within = search_within(denoiser, noisy, [mouth], 4, max_products=16)
    assert within.products == 16 and within.kind == "masked search"
    assert masked_basis(free, [mouth]).inside.max() < 0.7
    assert masked_basis(within, [mouth], 1).inside.item() > 0.9


def test_its_products_are_those_of_the_jacobian_and_what_was_known_is_kept(case):
    denoiser, noisy, mouth, start = case
    within = search_within(denoiser, noisy, [mouth], 2, start=start, max_products=8)
    assert within.products == start.products + 1 + 8
    assert within.rank == len(start.search_space.q) + 4
    jacobian = feature_jacobian(denoiser, noisy)
    changes = within.picture_changes()
    torch.testing.assert_close(jacobian.jvp(within.v), changes, rtol=1e-3, atol=1e-3 * changes.abs().max())
    rows = within.v.flatten(1)
    torch.testing.assert_close(rows @ rows.T, torch.eye(within.rank), rtol=0, atol=1e-3)
    kept = start.v.flatten(1) @ rows.T
    torch.testing.assert_close(kept.norm(dim=1), torch.ones(start.rank), rtol=0, atol=1e-3)


def test_what_does_not_belong_together_is_refused(case):
    denoiser, noisy, mouth, start = case
    elsewhere = noisy.with_x(noisy.x + torch.randn(noisy.x.shape, generator=torch.Generator().manual_seed(9)))
    with pytest.raises(ValueError, match="of another noisy latent, model or prompt"):
        search_within(denoiser, elsewhere, [mouth], 2, start=start)
    with pytest.raises(ValueError, match="noise level"):
        search_within(denoiser, noisy, [mouth], 2, start=replace(start, sigma=2 * start.sigma))
    of_h = replace(start, provenance={**start.provenance, "feature": "middle"})
    with pytest.raises(
        ValueError, match="goes on from a basis of the feature 'picture', got one of 'middle'"
    ):
        search_within(denoiser, noisy, [mouth], 2, start=of_h)
    with pytest.raises(ValueError, match="needs a denoiser of the feature 'picture', got 'middle'"):
        search_within(faces.FacesDenoiser(faces.load_model()), noisy, [mouth])
    with pytest.raises(ValueError, match="at least one mask"):
        search_within(denoiser, noisy, [])
    smaller = replace(start, v=start.v[..., :8], u=start.u[..., :8], search_space=None)
    with pytest.raises(ValueError, match="latents of shape"):
        search_within(denoiser, noisy, [mouth], 2, start=smaller)
