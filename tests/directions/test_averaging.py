"""Averaged bases against dense decompositions, and of the bundled model."""

from dataclasses import replace

import pytest
import torch

from pullback_core import Denoiser, NoisyLatent, PullbackBasis, VPSchedule, faces, local_basis
from pullback_core.directions.averaging import averaged_basis, renoised
from pullback_core.linalg import subspaces

SHAPE, RANK, COUNT = (2, 3, 4), 3, 4
SIGMAS = torch.tensor([2.0, 1.0, 0.0])


class Toy(Denoiser):
    """A denoiser whose features are a nonlinear map of z, with a known Jacobian."""

    schedule = VPSchedule.scaled_linear(0.00085, 0.012)
    provenance = {"model": "toy", "feature": "middle"}
    weight = torch.randn(10, 24, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def denoise(self, x, sigma):
        return x

    def encode(self, x, sigma):
        z = x / self.schedule.scale(sigma)
        return torch.tanh(z.flatten(1) @ self.weight.T / 5).view(-1, 5, 2)

    def jacobian(self, x, sigma):
        z = x / self.schedule.scale(sigma)
        h = torch.tanh(self.weight @ z.flatten() / 5)[:, None]
        return (1 - h**2) * self.weight / 5


def latents(count=COUNT):
    generator = torch.Generator().manual_seed(0)
    return NoisyLatent(torch.randn(count, *SHAPE, generator=generator, dtype=torch.float64) * 2, SIGMAS)


def stacked(noisy):
    return torch.cat([Toy().jacobian(x, noisy.sigma) for x in noisy.x]) / len(noisy) ** 0.5


def test_directions_are_those_of_the_dense_stack():
    noisy = latents()
    basis = averaged_basis(Toy(), noisy, RANK, tolerance=1e-8)
    _, _, rows = torch.linalg.svd(stacked(noisy))
    cosines = (basis.v.flatten(1) * rows[:RANK]).sum(dim=1).abs()
    torch.testing.assert_close(cosines, torch.ones(RANK, dtype=torch.float64), rtol=0, atol=1e-6)
    assert basis.converged and basis.kind == "averaged" and basis.provenance["mean"] == "4 latents"
    assert basis.products % COUNT == 0 and basis.sigma == noisy.sigma


def test_u_and_s_are_those_of_the_first_latent():
    noisy = latents()
    basis = averaged_basis(Toy(), noisy, RANK, tolerance=1e-8)
    first = Toy().jacobian(noisy.x[0], noisy.sigma)
    torch.testing.assert_close(basis.v.flatten(1) @ first.T, basis.s[:, None] * basis.u.flatten(1))


def test_one_latent_gives_its_own_basis():
    noisy = latents(1)
    alone, averaged = local_basis(Toy(), noisy, RANK), averaged_basis(Toy(), noisy, RANK)
    torch.testing.assert_close(alone.v, averaged.v)
    torch.testing.assert_close(alone.s, averaged.s)


def test_the_kept_search_space_is_of_the_first_latent():
    noisy = latents()
    without = averaged_basis(Toy(), noisy, RANK)
    basis = averaged_basis(Toy(), noisy, RANK, keep_space=True)
    assert without.search_space is None
    q, products = basis.known_products()
    first = Toy().jacobian(noisy.x[0], noisy.sigma)
    torch.testing.assert_close(q.flatten(1) @ first.T, products.flatten(1))
    space = basis.search_space
    torch.testing.assert_close(space.returns * space.scale**2, q.flatten(1) @ first.T @ first)
    assert basis.products == without.products + len(q)
    extended = local_basis(Toy(), noisy[0], RANK, start=replace(basis, provenance=Toy.provenance))
    torch.testing.assert_close(extended.s, local_basis(Toy(), noisy[0], RANK).s, rtol=1e-3, atol=0)


def test_progress_counts_the_products_at_all_latents():
    seen = []

    def report(products, residual):
        seen.append((products, residual))

    basis = averaged_basis(Toy(), latents(), RANK, progress=report)
    assert seen[-1][0] == basis.products and len(seen) >= basis.products
    assert seen[-1][1] <= 0.01


def test_an_averaged_basis_is_saved_and_loaded(tmp_path):
    basis = averaged_basis(Toy(), latents(), RANK, keep_space=True)
    basis.save(tmp_path / "basis.safetensors")
    loaded = PullbackBasis.load(tmp_path / "basis.safetensors")
    assert loaded.kind == "averaged" and torch.equal(loaded.search_space.images, basis.search_space.images)


def test_renoised_latents_are_of_one_picture_and_level():
    schedule, picture = Toy.schedule, torch.full((1, 4, 32, 32), 0.5)
    noise = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(3))
    noisy = NoisyLatent(schedule.add_noise(picture, noise, 2.0), SIGMAS)
    several = renoised(noisy, picture, schedule, 3, seed=1)
    assert len(several) == 3 and torch.equal(several.x[0], noisy.x[0]) and several.sigma == 2.0
    noises = (several.x - picture) / 2.0
    assert (noises.flatten(1).std(dim=1) - 1).abs().max() < 0.05
    assert torch.corrcoef(noises.flatten(1)).triu(1).abs().max() < 0.1
    assert torch.equal(several.x, renoised(noisy, picture[0], schedule, 3, seed=1).x)
    assert torch.equal(renoised(noisy, picture, schedule, 1).x, noisy.x)


def test_what_cannot_be_renoised_is_refused():
    noisy = latents(1)
    with pytest.raises(ValueError, match="at least one latent"):
        renoised(noisy, noisy.x, Toy.schedule, 0)
    with pytest.raises(ValueError, match="one noisy latent and its clean picture"):
        renoised(latents(2), noisy.x, Toy.schedule, 2)
    with pytest.raises(ValueError, match="of the same shape"):
        renoised(noisy, noisy.x[..., :2], Toy.schedule, 2)


def test_averaged_directions_depend_less_on_the_noise_of_the_first_latent():
    denoiser = faces.FacesDenoiser(faces.load_model())
    sigmas = denoiser.schedule.sigmas(2, start=0.5)
    x0 = faces.encode_image(faces.example_faces([40]))
    plain, averaged = [], []
    for seed in (0, 1):
        noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(seed))
        noisy = NoisyLatent(denoiser.schedule.add_noise(x0, noise, float(sigmas[0])), sigmas)
        plain.append(local_basis(denoiser, noisy, 2, tolerance=0.05))
        several = renoised(noisy, x0, denoiser.schedule, 4)
        averaged.append(averaged_basis(denoiser, several, 2, tolerance=0.05))
    angles = [subspaces.principal_angles(*pair, side="x").cos().square().mean() for pair in (plain, averaged)]
    assert angles[1] > angles[0] + 0.1
