"""Basis files that lie, and bases that no file should hold.

`load` accepts what `save` writes, and `save` refuses what `load` would refuse.
"""

import json
import math
import os
import struct
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pullback_core import PullbackBasis, basis_file, tensor_files
from pullback_core.basis_checks import TENSORS

DATA = Path(__file__).parent / "data"
NAN, INF = math.nan, math.inf


def orthonormal(rank, *shape, dtype=torch.float32, seed=0):
    columns = torch.linalg.qr(
        torch.randn(math.prod(shape), rank, generator=torch.Generator().manual_seed(seed)).double()
    )[0]
    return columns.T.reshape(rank, *shape).to(dtype)


def make(rank=3, dtype=torch.float32, **changes):
    basis = PullbackBasis(
        v=orthonormal(rank, 4, 3, 2, dtype=dtype),
        s=torch.arange(rank, 0, -1).to(dtype),
        u=orthonormal(rank, 5, 6, dtype=dtype, seed=1),
        residuals=torch.full((rank,), 1e-4, dtype=dtype),
        products=17,
        converged=True,
        sigma=1.5,
        timestep=0.5,
        seed=4,
        provenance={"model": "toy", "feature": "middle"},
    )
    return replace(basis, **changes)


def assert_same(one, other):
    for entry in fields(PullbackBasis):
        first, second = getattr(one, entry.name), getattr(other, entry.name)
        same = (
            torch.equal(first, second) and first.dtype == second.dtype
            if isinstance(first, torch.Tensor)
            else first == second
        )
        assert same, entry.name


def write(path, basis, header=None, metadata=None, **tensors):
    """Write a basis file without any check. header: the text of its header, or changes of its entries."""
    entries = {
        name: getattr(basis, name)
        for name in ("products", "converged", "sigma", "timestep", "seed", "provenance")
    }
    text = header if isinstance(header, str) else json.dumps(entries | (header or {}))
    everything = {name: getattr(basis, name).clone() for name in TENSORS} | tensors
    save_file(
        everything, path, {"format": "pullback_basis", "version": "1", "header": text} | (metadata or {})
    )
    return path


def refused(path, reason):
    with pytest.raises(
        ValueError, match=f"^'{path.name}' is not a usable pullback basis: .*{reason}"
    ) as caught:
        PullbackBasis.load(path)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


# Files of before.


def test_a_file_of_version_0_1_loads():
    basis = PullbackBasis.load(DATA / "basis_0.1.safetensors")
    assert (basis.rank, basis.sigma, basis.seed, basis.converged) == (3, 1.5, 4, True)
    assert basis.provenance == {"model": "toy", "feature": "middle", "prompt": "none"}
    torch.testing.assert_close(basis.s, torch.tensor([0.9574, 0.8383, 0.5867]), rtol=0, atol=1e-4)
    assert basis.v.shape == (3, 2, 3, 4) and basis.u.shape == (3, 5, 2)


def test_a_file_of_version_0_1_is_written_again_as_it_was(tmp_path):
    PullbackBasis.load(DATA / "basis_0.1.safetensors").save(tmp_path / "again")
    for name in TENSORS:
        with (
            safe_open(DATA / "basis_0.1.safetensors", "pt") as old,
            safe_open(tmp_path / "again", "pt") as new,
        ):
            assert (
                torch.equal(old.get_tensor(name), new.get_tensor(name)) and old.metadata() == new.metadata()
            )


# What is saved loads.


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rank": 1},
        {"rank": 24},
        {"dtype": torch.float64},
        {"dtype": torch.float16},
        {"dtype": torch.bfloat16, "rank": 2},
        {"sigma": 5e-324},
        {"sigma": 1.7e308},
        {"sigma": 2},
        {"timestep": 0},
        {"timestep": 1},
        {"timestep": -0.0},
        {"products": 0},
        {"seed": 2**64 - 1},
        {"seed": -(2**63)},
        {"converged": False},
        {"provenance": {}},
        {"provenance": {"\N{SNOWMAN}": '\ud800 \0 "', "": "x" * 10_000}},
        {"s": torch.tensor([2.0, 0.0, -0.0])},
        {"s": torch.tensor([3e38, 2e-45, 0])},
        {"s": torch.tensor([1e308, 1e-320, 0], dtype=torch.float64)},
        {"residuals": torch.tensor([0.0, -0.0, 3e38])},
        {"v": orthonormal(3, 4, 3, 2).double()},
    ],
    ids=str,
)
def test_what_is_saved_loads_as_it_was(changes, tmp_path):
    basis = make(**changes)
    basis.save(tmp_path / "basis.safetensors")
    loaded = PullbackBasis.load(tmp_path / "basis.safetensors")
    assert_same(loaded, basis)
    loaded.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").stat().st_size == (tmp_path / "basis.safetensors").stat().st_size


def test_tensors_that_share_memory_or_are_views_are_saved(tmp_path):
    v = orthonormal(3, 4, 3, 2)
    shared = make(v=v, u=v, s=torch.ones(3), residuals=torch.zeros(6)[::2])
    shared.save(tmp_path / "basis.safetensors")
    assert_same(PullbackBasis.load(tmp_path / "basis.safetensors"), shared)
    transposed = make(v=v.transpose(1, 3))
    transposed.save(tmp_path / "basis.safetensors")
    assert_same(PullbackBasis.load(tmp_path / "basis.safetensors"), transposed)


def test_a_loaded_basis_does_not_depend_on_its_file(tmp_path):
    make().save(tmp_path / "basis.safetensors")
    loaded = PullbackBasis.load(tmp_path / "basis.safetensors")
    with open(tmp_path / "basis.safetensors", "r+b") as file:
        file.write(bytes((tmp_path / "basis.safetensors").stat().st_size))
    assert_same(loaded, make())


# What no file should hold is refused by both.


def with_entry(tensor, *index, value):
    changed = tensor.clone()
    changed[index] = value
    return changed


WRONG = {
    "sigma is zero": ({"sigma": 0.0}, "noise level"),
    "sigma is minus zero": ({"sigma": -0.0}, "noise level"),
    "sigma is infinite": ({"sigma": INF}, "noise level"),
    "sigma is NaN": ({"sigma": NAN}, "noise level"),
    "sigma is text": ({"sigma": "1"}, "sigma is not of type float"),
    "timestep is NaN": ({"timestep": NAN}, "noise level"),
    "timestep is below zero": ({"timestep": -1e-9}, "noise level"),
    "timestep is true": ({"timestep": True}, "timestep is not of type float"),
    "converged is a number": ({"converged": 1}, "converged is not of type bool"),
    "converged is nothing": ({"converged": None}, "converged is not of type bool"),
    "products is a fraction": ({"products": 17.0}, "products is not of type int"),
    "products is below zero": ({"products": -1}, "products is negative"),
    "products has 64 bits": ({"products": 2**63}, "products is impossible"),
    "seed has 65 bits": ({"seed": 2**64}, "64 bits"),
    "seed is below 64 bits": ({"seed": -(2**63) - 1}, "64 bits"),
    "seed is a fraction": ({"seed": 0.5}, "seed is not of type int"),
    "provenance holds a number": ({"provenance": {"model": 7}}, "provenance"),
    "provenance holds a list": ({"provenance": {"model": ["a"]}}, "provenance"),
    "provenance is a list": ({"provenance": ["model"]}, "provenance is not of type dict"),
    "s rises": ({"s": torch.tensor([3.0, 1.0, 2.0])}, "descend"),
    "s is below zero": ({"s": torch.tensor([3.0, 1.0, -1e-30])}, "descend"),
    "s is NaN": ({"s": torch.tensor([3.0, NAN, 1.0])}, "s holds numbers that are not finite"),
    "s is infinite": ({"s": torch.tensor([INF, 2.0, 1.0])}, "s holds numbers that are not finite"),
    "residuals are NaN": (
        {"residuals": torch.tensor([0, NAN, 0])},
        "residuals holds numbers that are not finite",
    ),
    "residuals are infinite": (
        {"residuals": torch.tensor([0, INF, 0])},
        "residuals holds numbers that are not finite",
    ),
    "residuals are below zero": ({"residuals": torch.tensor([0, -1e-9, 0])}, "residuals are negative"),
    "v is NaN": (
        {"v": with_entry(orthonormal(3, 4, 3, 2), 2, 3, 2, 1, value=NAN)},
        "v holds numbers that are not finite",
    ),
    "u is infinite": (
        {"u": with_entry(orthonormal(3, 5, 6), 0, 0, 0, value=-INF)},
        "u holds numbers that are not finite",
    ),
    "v is huge": (
        {"v": with_entry(orthonormal(3, 4, 3, 2).double(), 1, 0, 0, 0, value=1e200)},
        "v are not orthonormal",
    ),
    "v and u are huge": (
        {"v": 1e300 * torch.ones(3, 4, 3, 2).double(), "u": -1e300 * torch.ones(3, 5, 6).double()},
        "v are not",
    ),
    "u is huge with alternating signs": (
        {"u": 1e200 * orthonormal(3, 5, 6).double().sign()},
        "u are not orthonormal",
    ),
    "v is zero": ({"v": torch.zeros(3, 4, 3, 2)}, "v are not orthonormal"),
    "v is too long": ({"v": 1.01 * orthonormal(3, 4, 3, 2)}, "v are not orthonormal"),
    "v repeats": ({"v": orthonormal(3, 4, 3, 2)[[0, 1, 0]]}, "v are not orthonormal"),
    "u leans": (
        {
            "u": torch.nn.functional.normalize(
                orthonormal(3, 30) + 0.01 * orthonormal(3, 30)[[1, 2, 0]], dim=1
            )
        },
        "u are not",
    ),
    "no directions": (
        {
            "v": torch.zeros(0, 4, 3, 2),
            "s": torch.zeros(0),
            "u": torch.zeros(0, 5),
            "residuals": torch.zeros(0),
        },
        "shapes",
    ),
    "no height": ({"v": torch.zeros(3, 4, 0, 2)}, "cannot be orthonormal"),
    "no features": ({"u": torch.zeros(3, 0)}, "cannot be orthonormal"),
    "u is flat": ({"u": torch.zeros(3)}, "shapes"),
    "v has five axes": ({"v": torch.zeros(3, 1, 1, 1, 4)}, "shapes"),
    "s is a matrix": ({"s": torch.zeros(3, 1)}, "shapes"),
    "s is a number": ({"s": torch.tensor(1.0)}, "shapes"),
    "u has another rank": ({"u": orthonormal(2, 5, 6)}, "2 in h"),
    "more directions than numbers": ({"u": torch.eye(3)[:, :2]}, "3 directions u of 2 numbers"),
    "u is float8": ({"u": orthonormal(3, 5, 6).to(torch.float8_e5m2)}, "u is of type float8_e5m2"),
    "residuals are whole": ({"residuals": torch.tensor([0, 0, 0])}, "residuals is of type int64"),
    "converged flags for s": ({"s": torch.tensor([True, True, False])}, "s is of type bool"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_neither_loaded_nor_saved(kind, tmp_path):
    changes, reason = WRONG[kind]
    basis = make(**changes)
    (tmp_path / "kept.safetensors").write_bytes(b"what was there before")
    with pytest.raises(ValueError, match=f"^This basis cannot be saved: .*{reason}.*\\.$"):
        basis.save(tmp_path / "kept.safetensors")
    with pytest.raises(ValueError, match="cannot be saved"):
        basis.save_as_first_free([tmp_path / "new.safetensors"])
    assert (
        os.listdir(tmp_path) == ["kept.safetensors"]
        and (tmp_path / "kept.safetensors").read_bytes() == b"what was there before"
    )
    refused(write(tmp_path / "wrong.safetensors", basis), reason)


@pytest.mark.parametrize(
    "changes",
    [{"products": torch.tensor(3)}, {"provenance": {"model": Path("a")}}, {"provenance": {7: "seven"}}],
)
def test_what_json_does_not_have_is_not_saved(changes, tmp_path):
    with pytest.raises(
        ValueError, match=r"^This basis cannot be saved: its (header|provenance) holds something"
    ):
        make(**changes).save(tmp_path / "basis.safetensors")
    assert not os.listdir(tmp_path)


# Files that lie.


def test_sizes_are_refused_before_any_number_is_read(tmp_path, monkeypatch):
    def read(*_):
        raise AssertionError("numbers were read")

    monkeypatch.setattr("pullback_core.basis_file.read_tensors", read)
    monkeypatch.setattr("pullback_core.basis_file.validate_numbers", read)
    rank = 13_000  # 80 kB of float16, and a Gram matrix of 1.3 GB
    path = write(
        tmp_path / "a.safetensors",
        make(),
        v=torch.ones(rank, 1, 1, 1).half(),
        u=torch.ones(rank, 1).half(),
        s=torch.ones(rank).half(),
        residuals=torch.zeros(rank).half(),
    )
    refused(path, "13000 directions v of 1 numbers, which cannot be orthonormal")


def test_the_check_of_many_directions_goes_block_by_block(tmp_path, monkeypatch):
    monkeypatch.setattr("pullback_core.basis_checks.CHUNK", 100)
    basis = make(rank=24)
    basis.save(tmp_path / "basis.safetensors")
    assert_same(PullbackBasis.load(tmp_path / "basis.safetensors"), basis)
    for one, other in ((0, 23), (23, 0), (11, 12)):
        v = basis.v.clone()
        v[one] = v[other]
        refused(write(tmp_path / "wrong.safetensors", basis, v=v), "v are not orthonormal")


def raw(path, header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"5",
        b"null",
        b"[]",
        b'"v"',
        b"{",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"v": 1}',
        b'{"v": {"shape": 3}}',
        b"\xff\xfe",
        b"9" * 5000,
        b'{"__metadata__": 3}',
        b'{"__metadata__": {"format": 3}}',
        b'{"v": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"v": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}',
        b'{"v": {"dtype": "F32", "shape": [true]}}',
        b'{"v": {"shape": [1]}}',
        b'{"__metadata__": {"format": "pullback_basis"}, "__metadata__": {"format": "pullback_basis"}}',
    ],
)
def test_headers_that_list_nothing_are_refused(header, tmp_path):
    refused(raw(tmp_path / "a.safetensors", header), "")


@pytest.mark.parametrize("length", [2**20 + 1, 2**40, 2**63, 2**64 - 1])
def test_the_length_of_a_header_is_checked_before_it_is_read(length, tmp_path):
    refused(raw(tmp_path / "a.safetensors", b"{}", length=length), "not a safetensors file")


def test_a_header_as_large_as_it_may_be(tmp_path):
    basis = make(provenance={"model": "x" * (tensor_files.MAX_HEADER - 2000)})
    basis.save(tmp_path / "basis.safetensors")
    assert_same(PullbackBasis.load(tmp_path / "basis.safetensors"), basis)
    with pytest.raises(
        ValueError, match="This basis cannot be saved: its header is larger than one megabyte"
    ):
        replace(basis, provenance={"model": "x" * tensor_files.MAX_HEADER}).save(
            tmp_path / "basis.safetensors"
        )


def sound_parts(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["v"].update(shape=[3, 4, 3, 1]),
        lambda header: header["v"].update(dtype="F64"),
        lambda header: header["v"].update(data_offsets=[0, 10**15]),
        lambda header: header["v"].update(data_offsets=[-4, 284]),
        lambda header: header["v"].update(data_offsets="all"),
        lambda header: header["v"].pop("data_offsets"),
        lambda header: header["v"].update(data_offsets=header["u"]["data_offsets"]),
        lambda header: header["v"].update(shape=[3, 2**40, 2**40, 2**40]),
        lambda header: header["v"].update(dtype="F128"),
        lambda header: header["v"].update(dtype=["F32"]),
        lambda header: header["v"].update(dtype="C64"),
        lambda header: header.pop("residuals"),
    ],
)
def test_headers_that_disagree_with_the_data_are_refused(change, tmp_path):
    make().save(tmp_path / "a.safetensors")
    header, data = sound_parts(tmp_path / "a.safetensors")
    change(header)
    refused(raw(tmp_path / "a.safetensors", header, data), "")


def test_tensors_named_twice_are_refused(tmp_path):
    make().save(tmp_path / "a.safetensors")
    header, data = sound_parts(tmp_path / "a.safetensors")
    text = json.dumps(header)[:-1] + ', "v": ' + json.dumps(header["v"]) + "}"
    refused(raw(tmp_path / "a.safetensors", text.encode(), data), "has the entry 'v' twice")


@pytest.mark.parametrize(
    "header, reason",
    [
        ('{"sigma": 1, "sigma": 2}', "has the entry 'sigma' twice"),
        ("[" * 100_000, "not JSON"),
        ('{"a":' * 9_000, "not JSON"),
        ("", "not JSON"),
        ("1" * 5000, "not JSON"),
        ("null", "exactly the entries"),
        ("[]", "exactly the entries"),
        ('"sigma"', "exactly the entries"),
    ],
)
def test_inner_headers_that_are_no_fields_are_refused(header, reason, tmp_path):
    refused(write(tmp_path / "a.safetensors", make(), header), reason)


def test_numbers_of_any_length_are_refused(tmp_path):
    for number in (10**400, -(10**400), 10**4000):
        for name, reason in (
            ("sigma", "noise level"),
            ("timestep", "noise level"),
            ("seed", "64 bits"),
            ("products", "products is"),
        ):
            refused(write(tmp_path / "a.safetensors", make(), {name: number}), reason)


def test_more_entries_than_needed_do_no_harm(tmp_path):
    path = write(
        tmp_path / "a.safetensors",
        make(),
        metadata={"author": "somebody"},
        picture=torch.zeros(2, dtype=torch.uint8),
    )
    assert_same(PullbackBasis.load(path), make())


def test_every_truncation_is_refused(tmp_path):
    make().save(tmp_path / "a.safetensors")
    data = (tmp_path / "a.safetensors").read_bytes()
    for length in {*range(20), *range(0, len(data), 37), len(data) - 1}:
        (tmp_path / "a.safetensors").write_bytes(data[:length])
        refused(tmp_path / "a.safetensors", "")


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileNotFoundError, match=r"There is no basis file .*folder'; that is a folder"):
        PullbackBasis.load(tmp_path / "folder")
    with pytest.raises(OSError, match="links lead in a circle"):
        PullbackBasis.load(tmp_path / "loop")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(FileNotFoundError, match="not an ordinary file"):
            PullbackBasis.load(tmp_path / "pipe")
    make().save(tmp_path / "basis")
    (tmp_path / "link").symlink_to("basis")
    assert_same(PullbackBasis.load(tmp_path / "link"), make())


def test_checks_run_on_the_cpu_whatever_the_device(tmp_path, monkeypatch):
    """Some devices have no float64. A basis is checked before it goes to one, and after it has left it."""
    make().save(tmp_path / "a.safetensors")
    checked = []
    monkeypatch.setattr(
        "pullback_core.basis_file.validate_numbers", lambda tensors, header: checked.extend(tensors.values())
    )
    assert PullbackBasis.load(tmp_path / "a.safetensors", device="meta").v.device.type == "meta"
    assert len(checked) == 4 and all(tensor.device.type == "cpu" for tensor in checked)


# Files of other versions, and fields that not every file has.


def test_an_optional_field_is_written_only_where_it_says_something(tmp_path, monkeypatch):
    named = basis_file.Field("hats", list, default=[])
    monkeypatch.setattr(basis_file, "FIELDS", (*basis_file.FIELDS, named))
    basis = make()
    values = {entry.name: getattr(basis, entry.name) for entry in fields(basis)}
    (tmp_path / "plain").write_bytes(basis_file.to_file({**values, "hats": []}))
    (tmp_path / "named").write_bytes(basis_file.to_file({**values, "hats": ["hat"]}))
    assert basis_file.read(tmp_path / "plain")["hats"] == []
    assert basis_file.read(tmp_path / "named")["hats"] == ["hat"]
    monkeypatch.undo()
    assert_same(PullbackBasis.load(tmp_path / "plain"), basis)
    refused(tmp_path / "named", "exactly the entries")


def test_a_header_of_an_older_version_is_migrated(tmp_path, monkeypatch):
    path = write(tmp_path / "old.safetensors", make())

    def count_seeds_from_one(header):
        return header | {"seed": header["seed"] + 1}

    monkeypatch.setattr(basis_file, "VERSION", 2)
    refused(path, "its version is 1, this program reads 2")
    monkeypatch.setattr(basis_file, "MIGRATIONS", {1: count_seeds_from_one})
    assert PullbackBasis.load(path).seed == make().seed + 1
    refused(write(tmp_path / "new", make(), metadata={"version": "3"}), "this program reads 1, 2")
