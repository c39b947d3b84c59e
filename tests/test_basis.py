"""Local bases and their files."""

import json
import pickle
from dataclasses import fields

import pytest
import torch
from safetensors.torch import load, save_file

from pullback_core import PullbackBasis, VPSchedule, local_bases, local_basis

RANK = 3


class Toy:
    """A denoiser whose features are a nonlinear map of z, with a known Jacobian."""

    schedule = VPSchedule.scaled_linear(0.00085, 0.012)
    provenance = {"model": "toy", "feature": "middle", "prompt": "none"}
    weight = torch.randn(10, 24, generator=torch.Generator().manual_seed(5))

    def encode(self, z, sigma):
        return torch.tanh(z.flatten(1) @ self.weight.T / 5).view(-1, 5, 2)

    def jacobian(self, z):
        h = self.encode(z[None], 1.0).view(10, 1)
        return (1 - h**2) * self.weight / 5


def point(seed=0):
    return torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def basis():
    return local_basis(Toy(), point(), 1.5, RANK, tolerance=1e-5, seed=4)


def test_it_is_the_decomposition_of_the_jacobian_at_that_point(basis):
    u, s, v = torch.linalg.svd(Toy().jacobian(point()))
    torch.testing.assert_close(basis.s, s[:RANK])
    assert (v[:RANK] * basis.v.flatten(1)).sum(dim=1).abs().min() > 0.9999
    assert (u.T[:RANK] * basis.u.flatten(1)).sum(dim=1).abs().min() > 0.9999
    assert basis.converged and basis.rank == RANK and basis.provenance == Toy.provenance
    assert (basis.sigma, basis.seed) == (1.5, 4) and basis.timestep == pytest.approx(Toy.schedule.fraction(1.5))


def test_a_seed_means_the_same_bits(basis):
    again = local_basis(Toy(), point()[None], 1.5, RANK, tolerance=1e-5, seed=4, batch_size=None)
    assert torch.equal(basis.v, again.v) and torch.equal(basis.u, again.u)


def test_a_batch_gives_one_basis_each(basis):
    both = local_bases(Toy(), torch.stack([point(), point(1)]), 1.5, RANK, tolerance=1e-5, seed=4)
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
        case "not orthonormal":
            rewrite({"v": tensors["v"] * 1.1})
        case "header not JSON":
            rewrite(header="{")
        case "header lacks an entry":
            header.pop("sigma")
            rewrite(header=json.dumps(header))
        case "header of wrong type":
            rewrite(header=json.dumps(header | {"seed": "four"}))
        case "impossible noise level":
            rewrite(header=json.dumps(header | {"sigma": -1.0}))


DAMAGE = {
    "truncated": "", "garbage": "", "empty": "", "pickled": "", "torch.save": "", "another format": "something else",
    "a newer version": "version is 99", "without u": "lacks u", "wrong shape": "shapes", "wrong count": "2 in h",
    "integers": "finite", "not a number": "finite", "ascending": "descend", "not orthonormal": "v are not orthonormal",
    "header not JSON": "JSON", "header lacks an entry": "entries", "header of wrong type": "seed is not of type int",
    "impossible noise level": "noise level",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_refused_in_one_sentence(kind, basis, tmp_path):
    path = tmp_path / "shared.safetensors"
    basis.save(path)
    damaged(kind, path)
    with pytest.raises(ValueError, match=f"^'shared.safetensors' is not a usable pullback basis: .*{DAMAGE[kind]}"):
        PullbackBasis.load(path)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"no basis file.*nowhere\.safetensors"):
        PullbackBasis.load("nowhere.safetensors")


def test_a_failed_save_keeps_the_old_file_and_leaves_nothing_behind(basis, tmp_path, monkeypatch):
    path = tmp_path / "basis.safetensors"
    basis.save(path)
    before = path.read_bytes()
    monkeypatch.setattr("pullback_core.files.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        local_basis(Toy(), point(1), 1.5, RANK).save(path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("z, message", [
    (torch.zeros(2, 3, 4), "all zeros"),
    (torch.full((2, 3, 4), float("inf")), "not finite"),
    (torch.ones(2, 2, 3, 4), "one latent"),
    (torch.ones(3, 4), "one latent"),
])
def test_unusable_latents_are_refused(z, message):
    with pytest.raises(ValueError, match=message):
        local_basis(Toy(), z, 1.5, RANK)


def test_a_direction_that_is_not_there_is_refused(basis):
    assert torch.equal(basis.direction(2), basis.v[2])
    for index in (3, -1):
        with pytest.raises(ValueError, match=f"0 to 2, got {index}"):
            basis.direction(index)
