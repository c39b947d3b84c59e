"""The command `over-time`, end to end on the bundled model."""

import json

import pytest
from command_line import QUICK, SHORT, ids_of, pixels

from pullback_core import PullbackBasis
from pullback_core.cli.main import main


def test_over_time(tmp_path):
    assert main(["over-time", *QUICK, "--timesteps", "0.8", "0.4", "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert [basis["timestep"] for basis in report["bases"]] == pytest.approx([0.4, 0.8], abs=1e-3)
    assert all(one["kind"] == "rotated" for one in report["bases"])
    for one in report["bases"]:
        assert one["singular_values"] == sorted(one["singular_values"], reverse=True)
    assert report["distances"][0][1] > 0.1
    assert (
        PullbackBasis.load(tmp_path / "basis_0.4.safetensors").s.tolist() == report["bases"][0]["responses"]
    )
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == [
        "basis_0.4.safetensors",
        "basis_0.8.safetensors",
    ]
    assert pixels(tmp_path / "contact_sheet.png").std() > 5 and pixels(tmp_path / "distances.png").std() > 5


@pytest.mark.parametrize(
    "timesteps, names",
    [
        (["0.704", "0.701"], ["basis_0.701", "basis_0.704"]),
        (["0.7", "0.70", "0.700001"], ["basis_0.7", "basis_0.700001"]),
        (["0.7", "0.7"], ["basis_0.7"]),
    ],
)
def test_over_time_writes_one_basis_for_each_timestep(timesteps, names, tmp_path):
    assert main(["over-time", *SHORT, "--timesteps", *timesteps, "--out", str(tmp_path)]) == 0
    assert sorted(path.stem for path in tmp_path.glob("*.safetensors")) == names
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["bases"]) == len(names)
    for basis, name in zip(report["bases"], names):
        assert PullbackBasis.load(tmp_path / f"{name}.safetensors").timestep == basis["timestep"]


BAD = [
    (["--timesteps", "0.5", "1.5"], "1.5"),
    (["--timesteps", "0.5", "0"], "above 0"),
    (["--timesteps", "0.5", "nan"], "--timesteps"),
    (["--timesteps"], "--timesteps"),
    (["--direction", "17"], "--direction"),
    (["--out", "broken.png/below"], "--out"),
]


@pytest.mark.parametrize("arguments, part", BAD, ids=ids_of(BAD))
def test_bad_input_gets_one_sentence_and_exit_code_2(arguments, part, refuse):
    refuse(["over-time", *arguments], part)
