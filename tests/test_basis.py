"""Local bases and their files."""

import json
import os
import pickle
from dataclasses import fields, replace

import pytest
import torch
from safetensors.torch import load, save_file

from pullback_core import Denoiser, NoisyLatent, PullbackBasis, VPSchedule, faces, local_bases, local_basis
from pullback_core.faces.unet import UNetConfig
from pullback_core.models.fingerprint import prompt_hash

RANK = 3


class Toy(Denoiser):
    """A denoiser whose features are a nonlinear map of z, with a known Jacobian."""

    schedule = VPSchedule.scaled_linear(0.00085, 0.012)
    provenance = {"model": "toy", "feature": "middle", "prompt": "none"}
    weight = torch.randn(10, 24, generator=torch.Generator().manual_seed(5))

    def denoise(self, x, sigma):
        return x

    def encode(self, x, sigma):
        z = x / self.schedule.scale(sigma)
        return torch.tanh(z.flatten(1) @ self.weight.T / 5).view(-1, 5, 2)

    def jacobian(self, z):
        h = torch.tanh(self.weight @ z.flatten() / 5)[:, None]
        return (1 - h**2) * self.weight / 5


def point(seed=0):
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed))


def noisy_at(z, sigma=1.5):
    """z (b, c, h, w) or (c, h, w) in network coordinates as a noisy latent."""
    x = Toy.schedule.from_network(z.view(-1, *z.shape[-3:]), sigma)
    return NoisyLatent(x, torch.tensor([sigma, 0.0]))


@pytest.fixture
def basis():
    return local_basis(Toy(), noisy_at(point()), RANK, tolerance=1e-5, seed=4)


def test_it_is_the_decomposition_of_the_jacobian_at_that_point(basis):
    u, s, v = torch.linalg.svd(Toy().jacobian(point()))
    torch.testing.assert_close(basis.s, s[:RANK])
    assert (v[:RANK] * basis.v.flatten(1)).sum(dim=1).abs().min() > 0.9999
    assert (u.T[:RANK] * basis.u.flatten(1)).sum(dim=1).abs().min() > 0.9999
    assert basis.converged and basis.rank == RANK
    assert basis.provenance == Toy.provenance and basis.provenance is not Toy.provenance
    assert (basis.sigma, basis.seed) == (1.5, 4) and basis.timestep == pytest.approx(
        Toy.schedule.fraction(1.5)
    )


def test_a_seed_means_the_same_bits(basis):
    again = local_basis(Toy(), noisy_at(point()), RANK, tolerance=1e-5, seed=4, batch_size=None)
    assert torch.equal(basis.v, again.v) and torch.equal(basis.u, again.u)


def test_a_basis_that_kept_its_search_space_is_extended():
    model = faces.load_model()
    denoiser = faces.FacesDenoiser(model)
    z = torch.randn(faces.LATENT_SHAPE, generator=torch.Generator().manual_seed(0))
    here = noisy_at(z)
    whole = local_basis(denoiser, here, 12)
    part = local_basis(denoiser, here, 6, keep_space=True)
    rest = local_basis(denoiser, here, 12, start=part)
    assert rest.converged and 2 * rest.products < whole.products + part.products
    assert (rest.s - whole.s).abs().max() <= 1e-2 * whole.s[0]
    assert whole.search_space is None and rest.search_space is None

    def products(denoiser, noisy, start):
        return local_basis(denoiser, noisy, 6, start=start).products

    near = noisy_at(z + 0.1 * torch.randn(z.shape, generator=torch.Generator().manual_seed(1)))
    warm = replace(part, search_space=None)
    # One product finds out that it is another point.
    assert products(denoiser, near, part) == products(denoiser, near, warm) + 1
    # Another level or prompt is known without a product.
    lower, smiling = noisy_at(z, 1.4), faces.FacesDenoiser(model, "smiling")
    assert products(denoiser, lower, part) == products(denoiser, lower, warm)
    assert products(smiling, here, part) == products(smiling, here, warm)


def test_a_network_has_a_basis_with_its_provenance():
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
    model = faces.FacesModel(config).eval().requires_grad_(False)
    noisy = NoisyLatent(3 * torch.randn(1, 48, 4, 4), torch.tensor([3.0, 0.0]))
    one, same, hat = (
        local_basis(faces.FacesDenoiser(model, prompt), noisy, RANK, seed=1, batch_size=2)
        for prompt in ("", "", "hat")
    )
    assert one.v.shape == (RANK, 48, 4, 4) and one.u.shape == (RANK, 32, 2, 2) and one.converged
    for rows in (one.v.flatten(1), one.u.flatten(1)):
        torch.testing.assert_close(rows @ rows.T, torch.eye(RANK), rtol=0, atol=1e-5)
    assert torch.equal(one.v, same.v) and torch.equal(one.u, same.u)
    assert not torch.allclose(one.s, hat.s, rtol=1e-4)
    assert one.provenance == {"model": "unsaved", "feature": "middle", "prompt": prompt_hash("")}
    assert hat.provenance["prompt"] == prompt_hash("hat") != prompt_hash("")


def test_a_prompt_is_kept_as_a_fingerprint():
    assert (
        len(prompt_hash("hat")) == 16
        and int(prompt_hash("hat"), 16)
        and prompt_hash("hat") != prompt_hash("Hat")
    )


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "magic"}, "magic"),
        ({"batch_size": 0}, "batch_size"),
        ({"tolerance": 0}, "tolerance"),
        ({"block_size": 11}, "block of 11"),
    ],
)
def test_options_reach_the_solver(options, message):
    with pytest.raises(ValueError, match=message):
        local_basis(Toy(), noisy_at(point()), RANK, **options)


def test_the_limit_and_progress_reach_the_solver():
    calls = []
    limited = local_basis(
        Toy(),
        noisy_at(point()),
        RANK,
        tolerance=1e-9,
        max_products=8,
        progress=lambda *call: calls.append(call),
    )
    assert (
        limited.products == 8
        and not limited.converged
        and [products for products, _ in calls] == [1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 8, 8]
    )
    assert calls[0][1] == float("inf") and calls[-1][1] == limited.residuals.max().item()


def test_a_batch_gives_one_basis_each(basis):
    both = local_bases(Toy(), noisy_at(torch.stack([point(), point(1)])), RANK, tolerance=1e-5, seed=4)
    assert torch.equal(both[0].v, basis.v) and not torch.allclose(both[1].s, basis.s)


def test_a_file_gives_back_what_was_saved(basis, tmp_path):
    basis.save(tmp_path / "new folder" / "basis.safetensors")
    loaded = PullbackBasis.load(tmp_path / "new folder" / "basis.safetensors")
    for entry in fields(PullbackBasis):
        one, other = getattr(basis, entry.name), getattr(loaded, entry.name)
        assert torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other, entry.name


def damaged(kind, path):
    """Spoil a sound file at `path`."""
    data = path.read_bytes()
    tensors = load(data)
    header_length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + header_length])["__metadata__"]
    header = json.loads(metadata["header"])

    def rewrite(change=None, **entries):
        save_file({**tensors, **(change or {})}, path, {**metadata, **entries})

    match kind:
        case "truncated":
            path.write_bytes(data[: len(data) // 2])
        case "garbage":
            path.write_bytes(b"\x07" * 500)
        case "empty":
            path.write_bytes(b"")
        case "pickled":
            path.write_bytes(pickle.dumps(tensors["s"].tolist()))
        case "torch.save":
            torch.save(tensors, path)
        case "another format":
            rewrite(format="lora")
        case "a newer version":
            rewrite(version="99")
        case "without u":
            tensors.pop("u")
            rewrite()
        case "wrong shape":
            rewrite({"v": tensors["v"].flatten(1)})
        case "wrong count":
            rewrite({"u": tensors["u"][:2]})
        case "integers":
            rewrite({"s": torch.tensor([3, 2, 1])})
        case "not a number":
            rewrite({"u": tensors["u"] * float("nan")})
        case "ascending":
            rewrite({"s": tensors["s"].flip(0)})
        case "v not orthonormal":
            rewrite({"v": tensors["v"] * 1.1})
        case "u not orthonormal":
            rewrite({"u": tensors["u"][[0, 0, 2]]})
        case "negative value":
            rewrite({"s": tensors["s"] * torch.tensor([1, 1, -1])})
        case "residuals of another rank":
            rewrite({"residuals": tensors["residuals"][:2]})
        case "float8":
            rewrite({"s": tensors["s"].to(torch.float8_e4m3fn)})
        case "header not JSON":
            rewrite(header="{")
        case "header lacks an entry":
            header.pop("sigma")
            rewrite(header=json.dumps(header))
        case "header of wrong type":
            rewrite(header=json.dumps(header | {"seed": "four"}))
        case "header is a number":
            rewrite(header="5")
        case "header nested without end":
            rewrite(header="[" * 100_000)
        case "provenance not text":
            rewrite(header=json.dumps(header | {"provenance": {"model": 7}}))
        case "negative noise level":
            rewrite(header=json.dumps(header | {"sigma": -1.0}))
        case "infinite noise level":
            rewrite(header=json.dumps(header | {"sigma": float("inf")}))
        case "noise level beyond floats":
            rewrite(header=json.dumps(header | {"sigma": 10**400}))
        case "negative residual":
            rewrite({"residuals": -tensors["residuals"]})
        case "negative products":
            rewrite(header=json.dumps(header | {"products": -1}))
        case "timestep after the end":
            rewrite(header=json.dumps(header | {"timestep": 1.5}))
        case _:
            raise NotImplementedError(kind)


DAMAGE = {
    "truncated": "",
    "garbage": "",
    "empty": "",
    "pickled": "",
    "torch.save": "",
    "another format": "something else",
    "a newer version": "version is 99",
    "without u": "lacks u",
    "wrong shape": "shapes",
    "wrong count": "2 in h",
    "integers": "s is of type int64",
    "not a number": "finite",
    "ascending": "descend",
    "v not orthonormal": "v are not orthonormal",
    "u not orthonormal": "u are not orthonormal",
    "negative value": "descend",
    "residuals of another rank": "shapes",
    "header not JSON": "JSON",
    "header lacks an entry": "entries",
    "header of wrong type": "seed is not of type int",
    "header is a number": "entries",
    "provenance not text": "provenance",
    "negative noise level": "noise level",
    "infinite noise level": "noise level",
    "timestep after the end": "noise level",
    "negative residual": "residuals",
    "negative products": "products",
    "float8": "float8",
    "header nested without end": "",
    "noise level beyond floats": "noise level",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_refused_in_one_sentence(kind, basis, tmp_path):
    path = tmp_path / "shared.safetensors"
    basis.save(path)
    damaged(kind, path)
    with pytest.raises(
        ValueError, match=f"^'shared.safetensors' is not a usable pullback basis: .*{DAMAGE[kind]}"
    ):
        PullbackBasis.load(path)


def test_whole_numbers_will_do_for_a_noise_level(basis, tmp_path):
    replace(basis, sigma=2).save(tmp_path / "basis.safetensors")
    assert PullbackBasis.load(tmp_path / "basis.safetensors").sigma == 2


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_file_has_ordinary_permissions(basis, tmp_path):
    (tmp_path / "ordinary").touch()
    basis.save(tmp_path / "basis.safetensors")
    assert (tmp_path / "basis.safetensors").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"no basis file.*nowhere\.safetensors"):
        PullbackBasis.load("nowhere.safetensors")


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(basis, tmp_path, monkeypatch):
    path = tmp_path / "basis.safetensors"
    basis.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(
        "pullback_core.atomic.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        local_basis(Toy(), noisy_at(point(1)), RANK).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "x, message",
    [
        (torch.zeros(1, 2, 3, 4), "all zeros"),
        (torch.full((1, 2, 3, 4), float("inf")), "not finite"),
        (torch.ones(2, 2, 3, 4), "one noisy latent, got 2"),
    ],
)
def test_unusable_latents_are_refused(x, message):
    with pytest.raises(ValueError, match=message):
        local_basis(Toy(), NoisyLatent(x, torch.tensor([1.5, 0.0])), RANK)


def test_a_noise_level_that_the_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match=r"up to 14\.6146, got 99"):
        local_basis(Toy(), noisy_at(point(), 99.0), RANK)


def test_some_directions_make_a_basis_of_their_own(basis, tmp_path):
    part = basis.select([0, 2])
    assert part.rank == 2 and torch.equal(part.v, basis.v[[0, 2]]) and torch.equal(part.s, basis.s[[0, 2]])
    assert (part.sigma, part.provenance) == (basis.sigma, basis.provenance)
    part.save(tmp_path / "part.safetensors")
    for wrong in ([], [3], [-1]):
        with pytest.raises(ValueError, match=r"at least one direction|directions 0 to 2"):
            basis.select(wrong)


def test_a_noisy_latent_of_another_level_is_refused(basis):
    basis.require_level(noisy_at(point(), 1.501))
    with pytest.raises(ValueError, match=r"noise level 1\.5, and the noisy latent has level 1\.51"):
        basis.require_level(noisy_at(point(), 1.51))


def test_a_direction_that_is_not_there_is_refused(basis):
    assert torch.equal(basis.direction(2), basis.v[2])
    for index in (3, -1):
        with pytest.raises(ValueError, match=f"0 to 2, got {index}"):
            basis.direction(index)
