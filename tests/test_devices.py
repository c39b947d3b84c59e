"""The core on a device without float64 and decompositions, such as MPS: see `host/pretended_device.py`."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from pullback_core import (
    Denoiser,
    FlowSchedule,
    NoisyLatent,
    PullbackBasis,
    VPSchedule,
    adjoint_error,
    compare_features,
    ddim,
    edit_grid,
    faces,
    feature_jacobian,
    global_basis,
    local_basis,
    masked_basis,
    parallel_transport,
    search_within,
    spectra,
)
from pullback_core.faces.unet import UNetConfig
from pullback_core.linalg import subspaces
from pullback_core.linalg.check import derivative_errors
from pullback_core.over_time import bases_over_time
from pullback_core.transport import transported_basis

pretended = spec_from_file_location(
    "pretended_device", Path(__file__).parent / "host" / "pretended_device.py"
)
pretended_device = module_from_spec(pretended)
pretended.loader.exec_module(pretended_device)
DEVICE, WithoutFloat64 = pretended_device.DEVICE, pretended_device.WithoutFloat64
SHAPE = (48, 4, 4)


class Toy(Denoiser):
    """A denoiser of a few layers, at any shape of `Toy.shape`."""

    shape = (2, 4, 4)

    def __init__(self, schedule, feature="middle"):
        self.schedule, self.provenance = schedule, {"model": "toy", "feature": feature}
        self.weight = torch.randn(20, 32, generator=torch.Generator().manual_seed(5)) / 5

    def denoise(self, x, sigma):
        return torch.tanh(x) / 2

    def encode(self, x, sigma):
        z = x / self.schedule.scale(sigma)
        return torch.tanh(z.flatten(1) @ self.weight.T).view(-1, 5, 2, 2)


def trained():
    torch.manual_seed(0)
    config = UNetConfig(
        in_channels=48,
        out_channels=48,
        model_channels=32,
        channel_mult=(1, 1),
        num_res_blocks=(1, 1),
        transformer_depth=(0, 1),
        context_dim=16,
    )
    return faces.FacesDenoiser(faces.FacesModel(config).eval().requires_grad_(False), "smiling")


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def noisy_at(denoiser, fraction, seed=0):
    """A noisy latent at a fraction of T, of unit variance in network coordinates."""
    sigma = denoiser.schedule.sigma(fraction)
    z = draw(1, *denoiser.shape) + (0.02 * draw(1, *denoiser.shape, seed=seed) if seed else 0)
    return NoisyLatent(z * denoiser.schedule.scale(sigma), torch.tensor([sigma, 0.0]))


DENOISERS = {
    "vp": (lambda: Toy(VPSchedule.scaled_linear(0.00085, 0.012)), Toy.shape),
    "flow": (lambda: Toy(FlowSchedule()), Toy.shape),
    "faces": (trained, SHAPE),
}


@pytest.fixture(params=DENOISERS)
def denoiser(request):
    make, shape = DENOISERS[request.param]
    made = make()
    made.shape = shape
    return made


def test_the_pretended_device_refuses_what_such_devices_refuse():
    x = draw(3, 3)
    with WithoutFloat64():
        assert (
            x.device == DEVICE
            and torch.zeros(2).device.type == "cpu"
            and torch.zeros(2, device=x.device).device == DEVICE
        )
        assert x.cpu().double().to(x).device == DEVICE and x.cpu().double().device.type == "cpu"
        for refused in (
            x.double,
            lambda: x.to(torch.float64),
            lambda: torch.zeros(2, dtype=torch.float64, device=x.device),
            lambda: torch.as_tensor(x, dtype=torch.float64),
            lambda: torch.zeros_like(x, dtype=torch.float64),
        ):
            with pytest.raises(TypeError, match="float64"):
                refused()
        with pytest.raises(NotImplementedError, match="svd"):
            torch.linalg.svd(x)
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(3)


def test_bases_and_edits(denoiser, tmp_path):
    noisy = noisy_at(denoiser, 0.7)
    plain = local_basis(denoiser, noisy, 3)
    with WithoutFloat64():
        for method in ("krylov", "subspace"):
            basis = local_basis(
                denoiser, noisy, 3, method=method, keep_space=method == "krylov", max_products=2000
            )
            assert (
                basis.converged
                and basis.v.device == basis.s.device == basis.u.device == basis.residuals.device == DEVICE
            )
        basis = local_basis(denoiser, noisy, 3, keep_space=True)
        more = local_basis(denoiser, noisy, 5, start=basis, batch_size=1)
        assert more.converged and more.rank == 5
        edits = edit_grid(denoiser, noisy, basis.v[:2], [-1.0, 1.0], steps=2)
        assert edits.x.device == DEVICE
        assert edit_grid(denoiser, noisy, basis, [0.5], steps=2, quick=True).x.isfinite().all()
        basis.save(tmp_path / "basis.safetensors")
        loaded = PullbackBasis.load(tmp_path / "basis.safetensors", device=DEVICE)
        assert loaded.v.device == DEVICE
        s = basis.s.tolist()
    torch.testing.assert_close(torch.tensor(s), plain.s, rtol=1e-4, atol=1e-5)


def test_inversion_and_generation(denoiser):
    x = draw(1, *denoiser.shape)
    with WithoutFloat64():
        sigmas = denoiser.schedule.sigmas(4, start=0.7)
        noisy = ddim.invert(denoiser, x, sigmas, refine=2)
        back = ddim.generate(denoiser, noisy, eta=0.1, boost_below=0.2)
        assert noisy.x.device == back.device == DEVICE and ddim.relative_error(back, x) < 10
        moments = bases_over_time(denoiser, x, [0.4, 0.7], 2, steps=4)
        assert subspaces.distance_matrix([moment.basis for moment in moments]).isfinite().all()


def test_comparisons_transport_and_global_bases(denoiser):
    points = [noisy_at(denoiser, 0.9, seed) for seed in (1, 2)]
    with WithoutFloat64():
        one, other = (local_basis(denoiser, noisy, 2) for noisy in points)
        for exact in (False, True):
            assert parallel_transport(0, one, other, exact=exact).direction.device == DEVICE
            assert transported_basis(1, one, other, exact=exact)[0].v.device == DEVICE
        for side in ("h", "x"):
            assert subspaces.principal_angles(one, other, side=side).isfinite().all()
            assert subspaces.frechet_mean([one, other], side=side).isfinite().all()
        for method in ("frechet", "matched"):
            assert global_basis([one, other], method).v.device == DEVICE
        assert spectra.effective_rank(one.s) >= 1 and spectra.mean_frequency(one.v).isfinite().all()
        assert spectra.power_spectrum(one.v)[1].isfinite().all()


def test_masks():
    torch.manual_seed(0)
    denoiser = faces.FacesDenoiser(trained().model, feature="picture")
    denoiser.shape = SHAPE
    noisy = noisy_at(denoiser, 0.7)
    mask = torch.zeros(8, 8)
    mask[:, :4] = 1.0
    with WithoutFloat64():
        basis = local_basis(denoiser, noisy, 2, keep_space=True)
        masked = masked_basis(basis, [mask], 2, least=0.0)
        assert masked.basis.v.device == DEVICE and masked.inside.device.type == "cpu"
        more = search_within(denoiser, noisy, [mask], 2, start=basis)
        assert more.v.device == DEVICE and more.rank > basis.rank
        better = masked_basis(more, [mask], 2, least=0.0)
        assert better.inside[0] >= masked.inside[0]


def test_features_and_checks_of_derivatives(denoiser):
    noisy = noisy_at(denoiser, 0.7)
    with WithoutFloat64():
        reports = compare_features([denoiser], noisy, 3)
        assert reports[0].residual < 0.1
        operator = feature_jacobian(denoiser, noisy)
        assert adjoint_error(operator) < 1e-4
        errors = derivative_errors(operator, operator.f, precise=(operator.f, operator.f))
        assert errors.adjoint < 1e-4 and errors.difference < 0.05


def test_schedules():
    alphas, sigmas = torch.linspace(0.99, 0.01, 50), torch.tensor([0.5, 2.0])
    plain = VPSchedule(alphas)
    with WithoutFloat64():
        schedule = VPSchedule(alphas)
        assert schedule.timestep(sigmas).tolist() == plain.timestep(sigmas).tolist()
        assert schedule.fraction(sigmas[0]) == plain.fraction(0.5) and schedule.sigma_max == plain.sigma_max
